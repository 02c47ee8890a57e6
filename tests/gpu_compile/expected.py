"""How many floating-point operations a sampler's source writes, counted in the source."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

KERNELS = Path(__file__).parents[2] / "kernels"
COUNTED = ("fma", "rsqrt")
LANES = 4  # samples that ``sample4`` makes


@cache
def functions() -> dict[str, ast.FunctionDef]:
    """The functions of ``kernels/sampling.py`` by name."""
    tree = ast.parse((KERNELS / "sampling.py").read_text())
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


def operations(kind: str, function: str = "sample4") -> Counter[str]:
    """fma and rsqrt in four samples of a kind."""
    total: Counter[str] = Counter()
    for statement in taken(functions()[function].body, kind):
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr in COUNTED:
                total[node.func.attr] += 1
            elif isinstance(node.func, ast.Name):
                total += operations(kind, node.func.id)
    return total
