"""Estimates, the quotients that are made of them, and classes of numbers."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.amd.estimates import CHOICES
from tests.amd.small import THREADS, Modes, run
from tests.machine.memory import Memory, build

COMPILER = os.environ.get("CC", "gcc")
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    return build(tmp_path_factory.mktemp("amd"))


def doubles(a: float) -> np.ndarray:
    return np.full(THREADS, a).view(np.uint64)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", ["rcp", "rsq", "sqrt"])
def test_estimates_stay_within_an_ulp(memory: Memory, name: str, choice: str) -> None:
    x = np.random.default_rng(1).uniform(1, 4, (64 * THREADS, 2)).astype(np.float32)
    code = f"	v_{name}_f32_e32 v4, v2\n"
    found = run(memory, code, x, 64, Modes(choice)).view(np.float32)[::2]
    value = x[:, 0].astype(np.float64)
    exact = {"rcp": 1 / value, "rsq": 1 / np.sqrt(value), "sqrt": np.sqrt(value)}[name]
    error = (found - exact) / np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert np.abs(error).max() <= 1.0
    assert (np.abs(error).max() > 0.9) == (choice != "nearest")
    if choice in ("low", "high"):
        assert (np.sign(error) == (1 if choice == "high" else -1)).mean() > 0.99


QUOTIENT = """
	v_mov_b64_e32 v[6:7], s[6:7]
	v_div_scale_f64 v[8:9], s[8:9], v[2:3], v[2:3], v[6:7]
	v_rcp_f64_e32 v[10:11], v[8:9]
	v_div_scale_f64 v[12:13], vcc, v[6:7], v[2:3], v[6:7]
	v_fma_f64 v[14:15], -v[8:9], v[10:11], 1.0
	v_fmac_f64_e32 v[10:11], v[10:11], v[14:15]
	v_fma_f64 v[14:15], -v[8:9], v[10:11], 1.0
	v_fmac_f64_e32 v[10:11], v[10:11], v[14:15]
	v_mul_f64 v[14:15], v[12:13], v[10:11]
	v_fma_f64 v[8:9], -v[8:9], v[14:15], v[12:13]
	v_div_fmas_f64 v[8:9], v[8:9], v[10:11], v[14:15]
	v_div_fixup_f64 v[4:5], v[8:9], v[2:3], v[6:7]
"""


@pytest.mark.parametrize("choice", CHOICES)
def test_quotients_are_right_whatever_the_estimate(memory: Memory, choice: str) -> None:
    """Three divided by numbers of all sizes that leave it to the plain case, and by others."""
    noise = np.random.default_rng(2)
    d = noise.uniform(1, 2, 16 * THREADS) * 2.0 ** noise.integers(-300, 300, 16 * THREADS)
    d[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1 / 3]
    code = "	s_mov_b32 s6, 0\n	s_mov_b32 s7, 0x40080000\n" + QUOTIENT
    with np.errstate(divide="ignore"):
        expected = 3.0 / d
    found = run(memory, code, d, 16, Modes(choice)).view(np.float64)
    assert np.array_equal(found, expected, equal_nan=True)
    assert (np.signbit(found[:4]) == [False, True, False, True]).all()


def test_a_quotient_that_must_be_scaled_back_is_an_error(memory: Memory) -> None:
    code = "	s_mov_b32 s6, 0\n	s_mov_b32 s7, 0x40080000\n" + QUOTIENT
    with pytest.raises(ValueError, match="scaled back"):
        run(memory, code, doubles(1e-300))


def test_classes_of_numbers(memory: Memory) -> None:
    """The bit of each class is the only one that says yes."""
    signalling = np.array([0x7FF0000000000001], np.uint64).view(np.float64)[0]
    values = [signalling, NAN, -INF, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, INF]
    for n, value in enumerate(values):
        for at in range(len(values)):
            code = f"""
	v_mov_b32_e32 v6, 0x{1 << at:x}
	v_cmp_class_f64_e32 vcc, v[2:3], v6
	v_cndmask_b32_e64 v4, 0, 1, vcc
	v_mov_b32_e32 v5, 0
"""
            assert (run(memory, code, doubles(value)) == (n == at)).all()
