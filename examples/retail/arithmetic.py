"""Sums as a customer's agent writes them: numbers, + - * /, parentheses, spaces."""

import ast

# longer ones are no sums, and deep nesting costs the parser its stack
LONGEST = 500


class NotASum(ValueError):
    """The expression cannot be calculated, and why."""


def calculate(expression: str) -> str:
    """Give the result, rounded to two places, as text; raise NotASum."""
    if not set(expression) <= set("0123456789+-*/(). "):
        raise NotASum("Invalid characters in expression")
    if len(expression) > LONGEST:
        raise NotASum(f"Expression longer than {LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return str(round(float(value(tree.body)), 2))
    except (SyntaxError, RecursionError, MemoryError):
        raise NotASum("Invalid expression") from None
    except ArithmeticError as error:
        raise NotASum(f"No result: {error}") from None


def value(node: ast.expr) -> float:
    """Give the value of a part of the expression."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return combine(op, value(left), value(right))
        case _:
            raise NotASum("Invalid expression")


def combine(op: ast.operator, left: float, right: float) -> float:
    """Give the result of one of the four operators."""
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case _:
            raise NotASum("Invalid expression")
