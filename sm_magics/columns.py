"""The order in which models take their columns, as far as this notebook knows, and rows that have another one.

A row goes as values in a row, so columns in another order are no error to a model: it answers, and answers wrongly. A
model that a cell made of an object with names is known by its name on SageMaker, which carries a hash of its content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError
from sm_magics.watch import look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sm_magics.compare.exchange import Target
    from sm_magics.connection import Connection
    from sm_magics.models import DesiredModel

__all__ = ["check_columns", "noted"]

MOST_SHOWN = 8  # names of columns in an error
Known = dict[str, tuple[str, ...]]


def noted(known: Mapping[str, tuple[str, ...]], models: Iterable[DesiredModel]) -> Known:
    """Return what is known of columns, by the names of models, with that of more of them.

    The same content may come from objects with names and without, or with others: then nothing is known of it.
    """
    more = {each.name: each.columns for each in models}
    return {**known, **{name: names if known.get(name, names) == names else () for name, names in more.items()}}


def check_columns(
    connection: Connection,
    target: Target,
    data: Any,
    known: Mapping[str, tuple[str, ...]],
    *,
    compared: Collection[str] = (),
) -> None:
    """Raise when `data` has the very columns that a model takes, in another order.

    Other names are taken for the same columns renamed: what they are is not known.

    Parameters
    ----------
    known
        The columns of models, by their names.
    compared
        The variants that get the rows whatever their weights; where there are none, who gets them is the target's
        variant, or else all that have a weight.

    Raises
    ------
    CellError
        With the first variant that might answer and takes another order.
    """
    found = getattr(data, "columns", ())
    given = tuple(map(str, found)) if isinstance(found, Iterable) else ()
    if len(given) < 2 or len(set(given)) < len(given) or not any(known.values()):  # noqa: PLR2004 - an order needs two
        return
    for variant, model in _might_answer(connection, target, compared):
        wanted = known.get(model, ())
        if wanted != given and set(wanted) == set(given):
            at = next(place for place, names in enumerate(zip(given, wanted, strict=True)) if names[0] != names[1])
            told = f"--data has its columns in another order than the model of variant '{variant}' takes them"
            listed = ", ".join(wanted[:MOST_SHOWN]) + (", …" if len(wanted) > MOST_SHOWN else "")
            differ = f"column {at} is {given[at]} where the model takes {wanted[at]}"
            raise CellError(f"{told}: {differ}", hint=f"put them in its order first: {listed}")


def _might_answer(connection: Connection, target: Target, compared: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the variants that may get a row, each with the name of its model."""
    snapshot = look(connection, target.endpoint)
    config = snapshot and connection.describe("EndpointConfig", snapshot.config_name)
    models = {each["VariantName"]: each.get("ModelName", "") for each in (config or {}).get("ProductionVariants", ())}
    named = compared or ([] if target.variant is None else [target.variant])
    for each in snapshot.variants if snapshot else ():
        if each.name in named or (not named and each.wanted_weight):
            yield each.name, models.get(each.name, "")
