"""`%%sm_model`: the cell declares a model on its own; `%sm_model` shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.endpoint import CELL_BEGINS, refuse
from sm_magics.magics.options import flag, name, output, quiet

if TYPE_CHECKING:
    import argparse

__all__ = ["ModelMagics"]


@magics_class
class ModelMagics(SmMagics):
    """The magics about models."""

    @magic(
        "line_cell",
        name("the model, as endpoint cells will call it"),
        flag("--dry-run", what="show the model that would be made, and make nothing"),
        quiet,
        output,
    )
    def sm_model(self, given: argparse.Namespace, cell: str | None) -> Any:
        """Declare a model on its own; as a line, show it.

        The cell is YAML: an object of the notebook, or the fields of a model:

            image: xgboost@3.0-5
            data: ./model.tar.gz

        An endpoint's cell then names it: `model: NAME`. The same content is made once; a changed one gets a name of
        its own on SageMaker, and the old one stays.
        """
        from sm_magics.results import Model

        if cell is None:
            refuse(given, "it goes with a cell that declares the model", dry_run=False)
            return self._show(given.name)
        from sm_magics.columns import noted
        from sm_magics.deploy import create_model
        from sm_magics.resolve import desired_model
        from sm_magics.spec import parse_model
        from sm_magics.target import MODEL_TAG

        spec = parse_model(cell, given.name, self.session.variables, first_line=CELL_BEGINS)
        connection = self.session.connection()
        desired = desired_model(spec, connection)
        self.session.columns = noted(self.session.columns, [desired])
        exists = connection.describe("Model", desired.name) is not None
        if given.dry_run:
            note = "It is there already: nothing to do." if exists else "It would be made by CreateModel."
            return Model(desired.name, desired.request, note)
        if not exists:
            create_model(connection, desired, {**spec.tags, MODEL_TAG: given.name})
        self.session.declared[given.name] = desired.name
        note = "There already: nothing to change." if exists else "Made by CreateModel."
        return Model(desired.name, desired.request, f"{note} An endpoint's cell can name it: model: {given.name}")

    def _show(self, model: str) -> Any:
        from sm_magics.resolve import find_model
        from sm_magics.results import Model

        connection = self.session.connection()
        found = find_model(model, connection, self.session.declared)
        request = {key: value for key, value in found.items() if key != "ModelName"}
        return Model(found["ModelName"], request)
