"""How many floating-point operations a sampler's source writes, counted in the source."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

KERNELS = Path(__file__).parents[2] / "kernels"
COUNTED = {"fma": "fma", "rsqrt": "rsqrt", "sqrt": "sqrt_rn"}
LANES = 4  # samples that ``sample4`` makes
DOUBLE_LANES = 2


@cache
def functions(double: bool) -> dict[str, ast.FunctionDef]:
    """The functions of ``kernels/sampling.py``, or of ``sampling64.py``, by name."""
    tree = ast.parse((KERNELS / ("sampling64.py" if double else "sampling.py")).read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def taken(statements: list[ast.stmt], kind: str) -> list[ast.stmt]:
    """The statements that remain once every ``if KIND == ...`` is decided."""
    remaining: list[ast.stmt] = []
    for statement in statements:
        if not isinstance(statement, ast.If):
            remaining.append(statement)
            continue
        test = statement.test
        if not (
            isinstance(test, ast.Compare)
            and isinstance(test.left, ast.Name)
            and test.left.id == "KIND"
            and isinstance(test.ops[0], ast.Eq)
            and isinstance(test.comparators[0], ast.Constant)
        ):
            raise ValueError(f"a branch that is not on KIND: {ast.unparse(test)}")
        holds = test.comparators[0].value == kind
        remaining += taken(statement.body if holds else statement.orelse, kind)
        if holds and isinstance(statement.body[-1], ast.Return):
            break
    return remaining


def operations(kind: str, double: bool = False, function: str = "") -> Counter[str]:
    """fma and rsqrt, of float64 sqrt_rn and div_rn, in the samples that a block gives of a kind.

    float64 writes them ``tl.sqrt`` and ``/``, never in a loop, and has no fma.
    """
    total: Counter[str] = Counter()
    function = function or ("sample2" if double else "sample4")
    for statement in taken(functions(double)[function].body, kind):
        for node in ast.walk(statement):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                total["div_rn"] += 1
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr in COUNTED:
                total[COUNTED[node.func.attr]] += 1
            elif isinstance(node.func, ast.Name):
                total += operations(kind, double, node.func.id)
    return total
