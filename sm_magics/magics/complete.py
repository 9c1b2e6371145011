"""Completion in our cells and lines: flags, keys and values of the spec, names on the connection, `$variables`.

Nothing is started, and AWS is not contacted before the session has: names come from its connection, and until there is
one from the engine that would be used, where that runs already.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.completer import SimpleCompletion, context_matcher

from sm_magics.errors import SmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sm_magics.connection import Connection
    from sm_magics.magics.session import Session

__all__ = ["Completer"]

OF_A_VARIANT = frozenset({"sm_logs", "sm_metrics", "sm_promote"})  # whose second word is a variant
NAMES_SECONDS = 5.0  # for which names that were listed are good
_MAGIC = re.compile(r"^\s*(?:\w+\s*=\s*)?(%{1,2})(sm_\w+)\s")
_MODEL_VALUE = re.compile(r"(?:^|[\s{,])model:\s*([\w-]*)$")
_FILE_VALUE = re.compile(r"(?:^|[\s{,])(image|data|to|capture):\s+([^\s\"'{}\[\],$]*)$")
_PLAIN_NAME = re.compile(r"[\w.+=-]+")  # of a file that a cell can name without quotes
_OPTION_VALUE = re.compile(r"\s*([\w-]+):\s+(\S*)$")
_OF_THE_LINE = frozenset({"--quiet", "--out", "-o"})
MOST_FILES = 200  # of a folder that are offered


class Completer:
    """What completion needs to know, one for a session; `match` is what IPython calls."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = session
        self._clock = clock
        self._listed: dict[str, tuple[float, list[str]]] = {}
        self._early: Connection | None = None  # until the session has one

    @context_matcher(identifier="sm_magics", priority=100)
    def match(self, context: Any) -> dict[str, Any]:
        """Return what may stand at the cursor; nothing outside our cells and lines."""
        first, _, body = context.full_text.partition("\n")
        in_cell = _MAGIC.match(first + " ")
        before = context.text_until_cursor
        try:
            if context.cursor_line > 0 and in_cell and in_cell[1] == "%%":
                return self._in_body(in_cell[2], body, context.cursor_line - 1, context.cursor_position)
            on_line = _MAGIC.match(before)
            if on_line:
                return self._on_line(on_line[2], before[on_line.end() :])
        except SmError:
            return _result([], "")
        return _result([], "", suppress=False)

    def _in_body(self, magic: str, body: str, line: int, column: int) -> dict[str, Any]:
        from sm_magics.spec import suggest

        if magic == "sm_compare":
            return self._in_options(magic, body.split("\n")[line][:column])
        if magic not in {"sm_endpoint", "sm_model"}:
            return _result([], "", suppress=False)
        cell: Literal["endpoint", "model"] = "endpoint" if magic == "sm_endpoint" else "model"
        found = suggest(body, line, column, self._variables(), cell=cell)
        before = body.split("\n")[line][:column]
        items = [SimpleCompletion(each.text, type="property") for each in found.items]
        if model := _MODEL_VALUE.search(before):
            names = [*self.session.declared, *self._names("Model")]
            items += [SimpleCompletion(each, type="instance") for each in names if each.startswith(model[1])]
        if place := _FILE_VALUE.search(before):
            items += [SimpleCompletion(each, type="path") for each in _of_images_and_files(place[1], place[2])]
        return _result(items, before[found.start :])

    def _in_options(self, magic: str, before: str) -> dict[str, Any]:
        """Return what may stand in a cell whose body is options, after `before` on its line."""
        value = _OPTION_VALUE.match(before)
        if value is None:
            keys = [f"{flag.removeprefix('--')}: " for flag in self._flags(magic) if flag not in _OF_THE_LINE]
            candidates, word = [*keys, "price: "], before.strip()
        elif value[2].startswith("$"):
            candidates, word = [f"${each}" for each in self._variables()], value[2]
        else:
            candidates, word = self._values(f"--{value[1].replace('_', '-')}", []), value[2]
        items = [SimpleCompletion(each, type="property") for each in candidates if each.startswith(word)]
        return _result(items, word)

    def _values(self, flag: str, earlier: list[str]) -> list[str]:
        """Return the values of a flag of a line, where they are known."""
        if flag in {"--variant", "--variants"} and earlier:
            return self._variants(earlier[0])
        if flag in {"--metric", "--guard"}:
            from sm_magics.compare.measures import MEASURES

            return [*(("errors", "latency") if flag == "--guard" else ()), *MEASURES]
        return {"--until": ["significant"], "--better": ["lower", "higher"]}.get(flag, [])

    def _on_line(self, magic: str, text: str) -> dict[str, Any]:
        *earlier, word = re.split(r"[\s=]", text) or [""]
        candidates: Iterable[str] = ()
        if word.startswith("-"):
            candidates = self._flags(magic)
        elif word.startswith("$"):
            candidates = [f"${each}" for each in self._variables()]
        elif earlier and earlier[-1].startswith("--") and (values := self._values(earlier[-1], earlier)):
            candidates = values
        elif not any(earlier):
            candidates = self._first_words(magic, word)
        elif (magic in OF_A_VARIANT and len(earlier) == 1) or (magic == "sm_traffic" and not text.endswith("=")):
            candidates = self._variants(earlier[0])
        elif magic == "sm_rollback" and len(earlier) == 1:
            candidates = self._configs(earlier[0])
        elif magic == "sm_load" and len(earlier) == 1:
            candidates = ["stop"]
        elif magic == "sm_fault":
            candidates = self._faults([each for each in earlier if each and each[0] != "-"], text)
        items = [SimpleCompletion(each, type="option") for each in candidates if each.startswith(word)]
        if not items and "$" not in word and not (earlier and earlier[-1].startswith("-")):
            items = [SimpleCompletion(word)]  # as it is: for nothing at all IPython would offer Python's keywords
        return _result(items, word)

    def _flags(self, magic: str) -> list[str]:
        function = self.session.shell.find_line_magic(magic) or self.session.shell.find_cell_magic(magic)
        if function is None:
            return []
        actions = function.parser._actions  # noqa: SLF001 - argparse has no other way
        return [flag for action in actions for flag in action.option_strings if flag.startswith("--")]

    def _first_words(self, magic: str, word: str) -> list[str]:
        if magic == "sm_connect":
            return ["local", "aws"]
        if magic == "sm_config":
            return ["display=", "timeout=", "wait="]
        if magic == "sm_help":
            from sm_magics.spec import words

            table = self.session.shell.magics_manager.magics
            magics = sorted(each for each in {**table["line"], **table["cell"]} if each.startswith("sm_"))
            return [*magics, *words()] if word else magics  # there are too many keys to choose from
        if magic == "sm_model":
            return [*self.session.declared, *self._names("Model")]
        return self._names("Endpoint")

    def _names(self, kind: str) -> list[str]:
        """Return the names of all endpoints or models; none where there is no connection."""
        connection = self._connection()
        if connection is None:
            return []
        at, names = self._listed.get(kind, (float("-inf"), []))
        if self._clock() - at > NAMES_SECONDS:
            try:
                rows = connection.call(f"List{kind}s", MaxResults=100)[f"{kind}s"]
            except SmError:
                rows = []  # nor asked again at the next key
            names = sorted(row[f"{kind}Name"] for row in rows)
            self._listed[kind] = self._clock(), names
        return names

    def _connection(self) -> Connection | None:
        """Return the session's connection, or before it has one a connection to the engine where that runs already."""
        if self.session.connected is not None or self.session.connect is not None:
            return self.session.connected
        if self._early is None or not self._early.alive():
            from sm_magics.connection import connect_running

            self._early = connect_running()
        return self._early

    def _variants(self, endpoint: str) -> list[str]:
        from sm_magics.watch import look

        connection = self._connection()
        snapshot = None if connection is None else look(connection, endpoint)
        return [] if snapshot is None else [each.name for each in snapshot.variants]

    def _configs(self, endpoint: str) -> list[str]:
        from sm_magics.versions import names_like

        connection = self._connection()
        return [] if connection is None else names_like(connection, endpoint)

    def _faults(self, earlier: list[str], text: str) -> list[str]:
        """Return what may follow `earlier` words, flags aside, in a line of `%sm_fault`."""
        from sm_magics.faults import CLEAR, SPELLINGS

        if not earlier:
            return self._names("Endpoint")
        if "=" in re.split(r"\s", text)[-1]:
            return ["fail"] if earlier[-1] == "ping" else []
        return [*SPELLINGS, CLEAR, *(self._variants(earlier[0]) if len(earlier) == 1 else ())]

    def _variables(self) -> list[str]:
        return sorted(
            name
            for name, value in self.session.variables.items()
            if not name.startswith("_") and not isinstance(value, ModuleType)
        )


def _of_images_and_files(key: str, word: str) -> Iterator[str]:
    """Yield the built-in images and the files of this machine that may go on from `word` as the value of `key`."""
    from sm_magics.models import KNOWN
    from sm_magics.spec import is_path

    if key == "image":
        yield from (each for each in KNOWN if each.startswith(word))
    if not is_path(word) and key != "data":
        return
    folder, slash, begun = word.rpartition("/")
    try:
        found = sorted(Path(folder + slash).expanduser().iterdir())
    except (OSError, RuntimeError):  # no folder, no permission, no user of that name
        return
    for each in itertools.islice((each for each in found if each.name.startswith(begun)), MOST_FILES):
        if _PLAIN_NAME.fullmatch(each.name) and (begun or not each.name.startswith(".")):
            if each.is_dir():
                yield f"{folder}{slash}{each.name}/"
            elif (key == "image" and os.access(each, os.X_OK)) or (key == "data" and each.name.endswith(".tar.gz")):
                yield f"{folder}{slash}{each.name}"


def _result(items: list[SimpleCompletion], fragment: str, *, suppress: bool = True) -> dict[str, Any]:
    return {"completions": items, "matched_fragment": fragment, "suppress": suppress, "ordered": True}
