"""What every magic has in common: how its line is parsed, `--help`, `-o` and `--quiet`."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, no_var_expand
from IPython.core.magic_arguments import magic_arguments

from sm_magics.errors import Detached
from sm_magics.magics.options import HelpAsked, parse, usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sm_magics.magics.session import Session

__all__ = ["SmMagics", "magic"]

_KINDS = {"line": line_magic, "cell": cell_magic, "line_cell": line_cell_magic}


class SmMagics(Magics):
    """A family of magics of one session."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.shell)
        self.session = session


def magic(kind: str, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a method `(self, given, cell)` a magic: `line`, `cell` or `line_cell`, with the options of its line.

    Variables stay as they are on the line (`$x` is looked up by us, and keeps its type).
    """

    def decorate(method: Any) -> Any:
        @functools.wraps(method)
        def run(self: SmMagics, line: str, cell: str | None = None) -> Any:
            try:
                given = parse(run, line)
            except HelpAsked:
                return _help(run)
            try:
                result = method(self, given, cell)
            except Detached:
                raise
            except KeyboardInterrupt:
                raise Detached("stopped") from None
            if result is not None:
                self.session.keep(getattr(given, "out", None), result)  # which shows itself when it is asked for
                if getattr(given, "quiet", False):
                    result = replace(result, quiet=True)
            return result

        decorated: Any = run
        for option in reversed(options):
            decorated = option(decorated)
        return _KINDS[kind](no_var_expand(magic_arguments()(decorated)))

    return decorate


def _help(function: Any) -> Any:
    from sm_magics.render.view import Code, View
    from sm_magics.results import Card

    return Card(View(f"Help for {function.__name__}", None, (Code(usage(function)),)))
