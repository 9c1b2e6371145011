"""`%sm_help`: what there is, and what each magic and each key of a cell means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.options import argument, usage
from sm_magics.nearest import nearest

if TYPE_CHECKING:
    import argparse

    from sm_magics.render.view import Block, View

__all__ = ["HelpMagics"]


@magics_class
class HelpMagics(SmMagics):
    """The magic that explains the others."""

    @magic("line", argument("topic", nargs="?", metavar="TOPIC", help="a magic, or a key of a cell"))
    def sm_help(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Explain a magic or a key of a cell, such as `weight`; without a topic, list what there is."""
        from sm_magics.results import Card

        return Card(self._all() if given.topic is None else self._about(given.topic))

    def _all(self) -> View:
        from sm_magics.render.view import Column, Note, Table, View

        rows = tuple((spelled, _first_sentence(function)) for spelled, function in _magics(self.shell).items())
        table = Table((Column("magic"), Column("what it does", prose=True)), rows)
        note = Note("%sm_help MAGIC explains one with its options; %sm_help KEY a key of a cell, such as weight.")
        return View("sm_magics", None, (table, note))

    def _about(self, topic: str) -> View:
        from sm_magics.render.view import Code, Column, Table, View
        from sm_magics.spec import example, explain, explain_below, words

        functions = {spelled.strip("%").split()[0]: each for spelled, each in _magics(self.shell).items()}
        asked = topic.strip("%")
        if asked in functions:
            return View(f"Help for {asked}", None, (Code(usage(functions[asked])),))
        rows = tuple(explain(asked))
        if rows:
            columns = (Column("where"), Column("SageMaker's name"), Column("takes"), Column("what it is", prose=True))
            blocks: list[Block] = [Table(columns, rows)]
            if inner := tuple(explain_below(asked)):
                below = (Column("key"), Column("takes", prose=True), Column("what it is", prose=True))
                blocks.append(Table(below, inner, "Below it; every other field of SageMaker's by its own name, too"))
            if (written := example(asked)) is not None:
                blocks.append(Code(written, "For example:"))
            return View(f"Help for {asked}", None, tuple(blocks))
        near = nearest(asked, [*functions, *words()], 0.7)
        known = "%sm_help lists the magics; a key of a cell is explained by its name, such as weight"
        raise CellError(f"there is no help for '{topic}'", hint=f"did you mean {near}?" if near else known)


def _magics(shell: Any) -> dict[str, Any]:
    """Return our magics as they are written, `%%` where they take a cell."""
    lines, cells = shell.magics_manager.magics["line"], shell.magics_manager.magics["cell"]
    names = sorted(name for name in {**lines, **cells} if name.startswith("sm_"))
    spelled = {
        name: " ".join([*([f"%%{name}"] if name in cells else []), *([f"%{name}"] if name in lines else [])])
        for name in names
    }
    return {spelled[name]: lines.get(name, cells.get(name)) for name in names}


def _first_sentence(function: Any) -> str:
    return str(function.parser.description or "").strip().split("\n")[0]
