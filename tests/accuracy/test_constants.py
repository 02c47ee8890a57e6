"""The constants are those derived, and the same in the CPU source and in the kernels."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tests.accuracy import derive_constants
from tritoninit import sampling

KERNELS = Path(__file__).parents[2] / "kernels" / "sampling.py"
SOURCE = Path(sampling.__file__)
# Triton has no arrays of the operations of ``arith.py``; a block's samples come from one kernel.
ONLY_KERNELS = {"to_i32", "one_word", "sample4"}


def constants(path: Path) -> dict[str, float]:
    """Module-level names whose value is one call of a number: np.float32(x), tl.constexpr(x)."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        target, call = node.targets[0], node.value
        assert isinstance(target, ast.Name)
        if not (isinstance(call.func, ast.Attribute) and len(call.args) == 1):
            continue
        found[target.id] = eval(compile(ast.Expression(call.args[0]), str(path), "eval"), {})
    return found


def functions(path: Path) -> set[str]:
    return {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}


def test_kernels_have_the_same_constants() -> None:
    ours, theirs = constants(SOURCE), constants(KERNELS)
    assert set(theirs) <= set(ours)
    assert {name: ours[name] for name in theirs} == theirs
    # The others are operands that numpy needs as uint64 or float32, and Triton as literals.
    literals = {"ONE", "LOW24", "ALL32", "TWO", "HALF_QUADRANT", "SIGN", "ODD_QUADRANT"}
    assert set(ours) - set(theirs) == literals


def test_kernels_have_the_same_functions() -> None:
    ours, theirs = functions(SOURCE), functions(KERNELS)
    per_block = {name for name in ours if name.endswith("4")}
    assert ours - per_block == theirs - ONLY_KERNELS


def test_every_block_function_is_a_kind_of_the_kernel() -> None:
    tree = ast.parse(KERNELS.read_text())
    compared = {
        node.comparators[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.comparators[0], ast.Constant)
    }
    kinds = {name[:-1] for name in functions(SOURCE) if name.endswith("4")}
    assert kinds <= compared


def test_minimax_polynomials_are_the_derived_ones() -> None:
    derived = derive_constants.polynomials()
    stored = constants(SOURCE)
    for prefix, (coefficients, _) in derived.items():
        for k, value in enumerate(coefficients):
            assert np.float32(stored[f"{prefix}{k}"]) == np.float32(float(value)), f"{prefix}{k}"


@pytest.mark.parametrize(
    ("prefix", "exponent"), [("L", -22.8), ("S", -28.2), ("C", -24.8), ("W", -22.3)]
)
def test_minimax_errors_are_the_stated_ones(prefix: str, exponent: float) -> None:
    assert float(derive_constants.polynomials()[prefix][1]) < 2.0**exponent


def test_rational_fit_is_the_derived_one() -> None:
    """To 1e-7: least squares depend on the linear-algebra library in the last digits."""
    error, top, bottom = derive_constants.lawson(4, derive_constants.RATIONAL_REACH)
    assert error < 2.0**-23.8
    stored = constants(SOURCE)
    assert [stored[f"P{k}"] for k in range(5)] == pytest.approx(top.tolist(), rel=1e-7)
    assert [1.0, *(stored[f"Q{k}"] for k in range(1, 5))] == pytest.approx(bottom, rel=1e-7)


def test_the_script_prints_every_constant(capsys: pytest.CaptureFixture[str]) -> None:
    derive_constants.main()
    printed = capsys.readouterr().out
    derived = [name for name in constants(SOURCE) if name[0] in "LSCPQW" and name[1:].isdigit()]
    assert len(derived) == 34
    assert all(f"{name} = np.float32(" in printed for name in derived)
