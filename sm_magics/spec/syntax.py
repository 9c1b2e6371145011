"""What PyYAML finds wrong with a text, in plain words: where it went wrong, and what was probably meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sm_magics.spec.problems import Place, Problem, clipped

if TYPE_CHECKING:
    from sm_magics.spec.problems import Source

__all__ = ["explain", "missing_space", "unreadable"]

_BRACKETS = {"while parsing a flow mapping": "{", "while parsing a flow sequence": "["}
_EXPRESSION = re.compile(r"\$\{[^}]*\}?")
_TEXT_WITH_COLON = 'put quotes around text that holds ": "'

# PyYAML's words -> ours, and what to do; {0} is what PyYAML found.
_SAYINGS = (
    (r"found character '\\t'", "a tab where a key or a value should start", "use spaces"),
    (r"found character '(.)'", "text cannot start with '{0}'", "put quotes around it"),
    (r"expected <block end>, but found '\?'", "a key among the items of a list", "check the indentation"),
    (r"expected <block end>, but found '-'", "a list item among keys", "check the indentation"),
    (r"expected <block end>, but found '<scalar>'", "text after a value that has ended", "put quotes around all of it"),
    (r"expected <block end>, but found '([}\]])'", "'{0}' closes nothing", "remove it"),
    (r"expected <block end>, but found ':'", "':' without a key before it", "write key: value"),
    (r"expected <block end>", "this line does not line up", "keys of one level start in the same column"),
    (r"expected the node content, but found '(.)'", "a value is missing before '{0}'", None),
    (r"expected '<document start>'", "nothing can follow here", "a cell holds one document"),
    (r"found unknown escape character '(.)'", "'\\{0}' means nothing between double quotes", "use single quotes"),
)


def explain(error: Any, source: Source) -> Problem:
    """Turn PyYAML's error, a MarkedYAMLError, into a problem."""
    what: str = error.problem or ""
    at = _place(error.problem_mark, Place(0, 0))
    begun = _place(error.context_mark, at)
    return (
        _expression_in_braces(what, at, source)
        or _not_closed(str(error.context), what, at, begun, source)
        or _colon(what, at, begun, source)
        or _magic(what, source)
        or _said(what, at)
    )


def unreadable(error: Exception, source: Source) -> Problem:
    """Turn an error about a single character into a problem: one that YAML forbids, or a number that names none."""
    position = getattr(error, "position", None)
    if position is not None:
        return Problem(
            "a character that cannot be read", "remove it, or write it as \\x.. in quotes", source.at(position)
        )
    escape = re.search(r"\\U(?!0010|000)", source.text)
    place = source.at(escape.start()) if escape else None
    return Problem("a number in the text is too large for YAML", "a character's number has at most 0010ffff", place)


def missing_space(text: str) -> str | None:
    """Return the hint for a `key:value` that YAML takes for one word, None for any other text."""
    found = re.match(r"""\s*([\w-]+):[\w$"'{\[.~-]""", text)
    return f"put a space after '{clipped(found[1])}:'" if found else None


def _place(mark: Any, otherwise: Place) -> Place:
    return Place(mark.line, mark.column) if mark else otherwise


def _line(source: Source, number: int) -> str:
    return source.lines[number] if 0 <= number < len(source.lines) else ""


def _expression_in_braces(what: str, at: Place, source: Source) -> Problem | None:
    for found in _EXPRESSION.finditer(_line(source, at.line)):
        if what.startswith("expected ','") and found.start() + 1 == at.column:
            place = Place(at.line, found.start())
            return Problem(
                "an expression in braces needs quotes here", f'put quotes around "{clipped(found[0])}"', place
            )
    return None


def _not_closed(context: str, what: str, at: Place, begun: Place, source: Source) -> Problem | None:
    if what == "found unexpected end of stream":
        return Problem("the quote is never closed", "close it with the same sign", begun)
    opening = _BRACKETS.get(context)
    if opening is None or not what.startswith("expected ','"):
        return None
    closing = {"{": "}", "[": "]"}[opening]
    if "<stream end>" in what:
        return Problem(f"the '{opening}' is never closed", f"close it with '{closing}'", begun)
    where = f"the '{opening}' on line {begun.line + source.first_line}"
    return Problem(f"',' or '{closing}' is missing here", f"{where} is still open", at)


def _colon(what: str, at: Place, begun: Place, source: Source) -> Problem | None:
    if what == "could not find expected ':'":
        hint = missing_space(_line(source, begun.line)[begun.column :])
        return Problem("a key without ': ' after it", hint or "write key: value", begun)
    if what != "mapping values are not allowed here":
        return None
    for number in (at.line, at.line - 1):
        line = _line(source, number)
        hint = missing_space(line)
        if hint:
            return Problem("a key without ': ' after it", hint, Place(number, len(line) - len(line.lstrip())))
    if ": " in _line(source, at.line)[: at.column]:
        return Problem("a second ':' on this line", _TEXT_WITH_COLON, at)
    hint = "check the indentation: the line above has a value already"
    return Problem("this key is indented too far", hint, at)


def _magic(what: str, source: Source) -> Problem | None:
    for number, line in enumerate(source.lines):
        if "<document start>" in what and line.startswith("%"):
            return Problem(
                "a line that starts with % is not read here", "put it in a cell of its own", Place(number, 0)
            )
    return None


def _said(what: str, at: Place) -> Problem:
    for pattern, message, hint in _SAYINGS:
        found = re.match(pattern, what)
        if found:
            return Problem(message.format(*found.groups()), hint, at)
    return Problem(f"this is not YAML: {clipped(what)}", "a cell holds lines of key: value, indented with spaces", at)
