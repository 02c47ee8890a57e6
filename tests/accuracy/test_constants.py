"""The constants are those derived, and the same in the CPU source and in the kernels."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tests.accuracy import derive_constants
from tritoninit import coefficients, sampling

KERNELS = Path(__file__).parents[2] / "kernels" / "sampling.py"
SOURCE = Path(sampling.__file__)
POLYNOMIALS = "LRSCPQW"
# Triton has no arrays of the operations of ``arith.py``; a block's samples come from one kernel.
ONLY_KERNELS = {"i32_of", "f32_of", "minus", "clamp", "one_word", "sample4"}


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


def stored() -> dict[str, float]:
    """The polynomials' coefficients by the names that they have in the kernels."""
    return {
        f"{name}{k}": float(value)
        for name in POLYNOMIALS
        for k, value in enumerate(getattr(coefficients, name))
    }


def functions(path: Path) -> set[str]:
    return {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}


def test_kernels_have_the_same_constants() -> None:
    ours = constants(SOURCE) | constants(Path(coefficients.__file__)) | stored()
    theirs = {name: float(np.float32(value)) for name, value in constants(KERNELS).items()}
    assert set(theirs) <= set(ours)
    assert {name: float(np.float32(ours[name])) for name in theirs} == theirs
    # The others are operands that numpy needs as uint64 or float32, and Triton as literals.
    literals = {"ONE", "ONE_HALF", "TWO", "LOW24", "ALL32", "WORDS", "ONE_BIT", "SIGN", "QUARTER"}
    literals |= {"ODD", "EVEN", "Q0"}
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
    for prefix, (derived, _) in derive_constants.polynomials().items():
        expected = [np.float32(float(value)) for value in derived]
        assert list(getattr(coefficients, prefix)) == expected, prefix


@pytest.mark.parametrize(
    ("prefix", "exponent"), [("L", -22.8), ("R", -22.6), ("S", -27.4), ("C", -29.9), ("W", -22.3)]
)
def test_minimax_errors_are_the_stated_ones(prefix: str, exponent: float) -> None:
    assert float(derive_constants.polynomials()[prefix][1]) < 2.0**exponent


def test_rational_fit_is_the_derived_one() -> None:
    """To 2e-7: least squares depend on the linear-algebra library in the last digits."""
    error, top, bottom = derive_constants.lawson(4, derive_constants.RATIONAL_REACH)
    assert error < 2.0**-23.8
    assert list(coefficients.P) == pytest.approx(top.tolist(), rel=2e-7)
    assert list(coefficients.Q) == pytest.approx(bottom.tolist(), rel=2e-7)


def test_the_script_prints_every_constant(capsys: pytest.CaptureFixture[str]) -> None:
    derive_constants.main()
    printed = capsys.readouterr().out
    assert len(stored()) == 45
    assert all(f"{name} = np.float32(" in printed for name in stored())
