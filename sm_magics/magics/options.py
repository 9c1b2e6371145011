"""How a magic's line is read: argparse through IPython's decorators, with options shared between magics.

One flag means one thing everywhere. Whatever is wrong with a line is a `CellError`, raised: IPython's own `UsageError`
would make nbconvert and nbval report success.
"""

from __future__ import annotations

import argparse
import inspect
import keyword
import re
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from sm_magics.amounts import seconds
from sm_magics.errors import CellError
from sm_magics.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HelpAsked",
    "argument",
    "duration",
    "flag",
    "name",
    "output",
    "parse",
    "quiet",
    "usage",
    "waiting",
]

_EXPRESSION = re.compile(r"""(?<!["'])\$\{[^}]*\}""")  # whose quotes are its own
_OF_ARGUMENT = re.compile(r"argument ([^:]+): (.+)", re.DOTALL)  # as argparse says which one is wrong
_NO_NUMBER = re.compile(r"invalid (int|float) value: (.+)", re.DOTALL)
_NO_CHOICE = re.compile(r"invalid choice: (.+) \(choose from .+\)", re.DOTALL)
_DEFAULT = "by default as %%sm_config says"


class HelpAsked(Exception):  # noqa: N818 - no error: the user asked
    """The line asks for help with `--help`."""


def duration(text: str) -> float:
    """Return a duration such as `30s`, `5m` or `1.5h` in seconds; a bare number is seconds."""
    given = text.strip()
    amount = seconds(f"{given}s" if given[-1:].isdecimal() else given)
    if amount is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration; write 30s, 5m or 1h")
    return amount


def name(what: str, *, optional: bool = False) -> Callable[[Any], Any]:
    """Return the decorator of the name that comes first on the line."""
    return argument("name", nargs="?" if optional else None, metavar="NAME", help=what)


def flag(*names: str, what: str) -> Callable[[Any], Any]:
    """Return the decorator of a flag that is on or off."""
    return argument(*names, action="store_true", help=what)


def output(function: Any) -> Any:
    """Add `-o NAME`: keep the result in a variable, which a cell magic cannot return."""
    keep = argument("-o", "--out", type=_variable, metavar="VARIABLE", help="keep the result in this variable")
    return keep(function)


def quiet(function: Any) -> Any:
    """Add `--quiet`."""
    return argument("--quiet", action="store_true", help="show neither progress nor card")(function)


def waiting(function: Any) -> Any:
    """Add `--wait`, `--no-wait` and `--timeout`."""
    for add in (
        argument(
            "--timeout",
            type=duration,
            metavar="TIME",
            help=f"wait at most so long: 30s, 10m, 1h; {_DEFAULT}",
        ),
        argument("--no-wait", dest="wait", action="store_false", help="return once the service has accepted the calls"),
        argument(
            "--wait",
            dest="wait",
            action="store_true",
            default=None,
            help=f"wait until the endpoint has settled; {_DEFAULT}",
        ),
    ):
        function = add(function)
    return function


def parse(magic: Any, line: str) -> argparse.Namespace:
    """Return what a magic's line says.

    Parameters
    ----------
    magic
        The magic's function, decorated by `magic_arguments`.

    Raises
    ------
    CellError
        When the line cannot be understood.
    HelpAsked
        When it asks for help.
    """
    parser = magic.parser
    parser.allow_abbrev = False
    try:
        words = shlex.split(_EXPRESSION.sub(lambda found: shlex.quote(found[0]), line))
    except ValueError as error:
        raise CellError(f"the line cannot be read: {str(error).lower()}", hint=f"close the quote: {line}") from None
    if "--help" in words or "-h" in words:
        raise HelpAsked
    if "--wait" in words and "--no-wait" in words:
        raise CellError("--wait and --no-wait say the opposite of each other", hint="keep one of the two")
    try:
        given: argparse.Namespace = parser.parse_intermixed_args(_joined(parser, words))  # options may be between words
    except UsageError as error:
        raise _refused(parser, words, str(error)) from None
    return given


def usage(magic: Any) -> str:
    """Return the usage, the options and the description of a magic."""
    return inspect.cleandoc(magic.parser.format_help().replace("::", "", 1)).strip()


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no name for a variable")
    return text


def _joined(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Return the words with negative values joined to their options: `--every -1s` is no time, and `-1s` no option."""
    takes = {name for action in parser._actions if action.nargs is None for name in action.option_strings}  # noqa: SLF001
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in takes and joined[-1].startswith("--") and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _refused(parser: argparse.ArgumentParser, words: list[str], told: str) -> CellError:
    """Return what argparse says as an error of ours: where one option is wrong, with what that one takes."""
    found = _OF_ARGUMENT.fullmatch(told)
    named = {"/".join(each.option_strings) or each.metavar or each.dest: each for each in parser._actions}  # noqa: SLF001
    action = None if found is None else named.get(found[1])
    if found is None or action is None:
        return CellError(told, hint=_hint(parser, words))
    why = found[2]
    if number := _NO_NUMBER.fullmatch(why):
        why = f"{number[2]} is no {'whole ' if number[1] == 'int' else ''}number"
    elif choice := _NO_CHOICE.fullmatch(why):
        why = f"{choice[1]} is none of {', '.join(map(str, action.choices or ()))}"
    elif why == "expected one argument":
        why = "it needs a value"
    name = action.option_strings[-1] if action.option_strings else ""
    takes = f"{name} {action.metavar or '|'.join(map(str, action.choices or ())) or 'VALUE'}".strip()
    about = "" if action.help is None else f": {action.help.replace('%%', '%')}"
    return CellError(f"{name or action.metavar}: {why}", hint=takes + about)


def _hint(parser: argparse.ArgumentParser, words: list[str]) -> str:
    flags = [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001 - argparse has no other way
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag not in flags and not re.fullmatch(r"-\d.*", flag):
            near = nearest(flag, flags, 0.7)
            if near:
                return f"did you mean {near}?"
    return " ".join(parser.format_usage().replace("::", "").split())
