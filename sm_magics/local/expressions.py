"""Metric math, the part of it that alarms on error rates need: `100*m1/m2`, `FILL(m1, 0)`. Never evaluated as Python.

Source: the CloudWatch user guide, "Using metric math". Numbers, ids, `+ - * /`, parentheses and FILL with a number.
"""

from __future__ import annotations

import ast
import math
import operator
from typing import TYPE_CHECKING

from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["names", "parse", "value"]

Expression = ast.expr
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def parse(text: str) -> Expression:
    """Return an expression in a form that `value` takes.

    Raises
    ------
    Refused
        When it is not well formed, or uses what is not offered.
    """
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
        _check(parsed, text)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        raise Refused(f"Invalid metrics list: the expression '{text}' cannot be read.", "ValidationError") from None
    return parsed


def names(expression: Expression) -> set[str]:
    """Return the ids that an expression uses."""
    called = {id(each.func) for each in ast.walk(expression) if isinstance(each, ast.Call)}
    return {each.id for each in ast.walk(expression) if isinstance(each, ast.Name) and id(each) not in called}


def value(expression: Expression, values: Mapping[str, float | None]) -> float | None:
    """Return the value at one time; None where a value is missing or nothing is divided by."""
    match expression:
        case ast.Constant(value=int() | float() as constant):
            return float(constant)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=sign, operand=operand):
            number = value(operand, values)
            return -number if number is not None and isinstance(sign, ast.USub) else number
        case ast.BinOp(left=left, op=between, right=right):
            first, second = value(left, values), value(right, values)
            if first is None or second is None or (isinstance(between, ast.Div) and not second):
                return None
            result = _OPERATORS[type(between)](first, second)
            return result if math.isfinite(result) else None
        case ast.Call(args=[filled, filler]):
            number = value(filled, values)
            return value(filler, values) if number is None else number
    raise AssertionError(ast.dump(expression))  # `parse` lets nothing else through


def _check(node: ast.expr, text: str) -> None:
    """Refuse what `value` does not know."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            if not math.isfinite(float(number)):
                raise OverflowError
            return
        case ast.Name():
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=between, right=right) if type(between) in _OPERATORS:
            parts = [left, right]
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, ast.Constant() | ast.UnaryOp() as filler], keywords=[]):
            parts = [filled, filler]
        case _:
            raise Refused(
                f"Invalid metrics list: of '{text}' the embedded engine offers numbers, ids, + - * /, parentheses "
                f"and FILL(id, number) only, not '{ast.unparse(node)}'.",
                "ValidationError",
            )
    for part in parts:
        _check(part, text)
