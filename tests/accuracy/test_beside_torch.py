"""The comparison with torch's ``trunc_normal_``: its exact law, and its recorded results."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

from tests.accuracy import beside_torch, truncation
from tests.accuracy.beside_torch_table import rendered
from tests.accuracy.truncation import CASES, FORMATS, Case
from tritoninit import STREAM_VERSION

STORED = json.loads(beside_torch.RESULTS.read_text())
OURS = STORED["tritoninit"]
SAMPLES = 2**14
FLUKE = 1e-6  # of a p-value of exact samples; the key is fixed, so that a failure stays one


def mass(low: Any, high: Any) -> Any:
    """Of the standard normal between two bounds."""
    if low >= 0:
        return (mp.erfc(low / mp.sqrt(2)) - mp.erfc(high / mp.sqrt(2))) / 2
    return (mp.erf(high / mp.sqrt(2)) - mp.erf(low / mp.sqrt(2))) / 2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_exact_law(case: Case) -> None:
    with mp.workdps(400):  # 100 sigma lie 10**-2174 deep, and are left out below
        alpha, beta = (
            (mp.mpf(end) - mp.mpf(case.mean)) / mp.mpf(case.std) for end in (case.a, case.b)
        )
        for share in (2.0**-33, 0.001, 0.3, 0.5, 0.9, 1 - 2.0**-33):
            value = float(case.quantile(np.array([share]), np.array([1 - share]))[0])
            z = (mp.mpf(value) - mp.mpf(case.mean)) / mp.mpf(case.std)
            below, above = (part / mass(alpha, beta) for part in (mass(alpha, z), mass(z, beta)))
            assert abs(below - share) < 1e-12 * max(1, abs(z)) ** 2
            found = case.shares(np.array([value]))
            for exact, got in zip((below, above), found, strict=True):
                assert abs(float(got[0]) - exact) <= 1e-11 * exact + 1e-13


@pytest.mark.parametrize("dtype", FORMATS)
def test_edges_and_extremes(dtype: str) -> None:
    digits, least = FORMATS[dtype]
    step = 2.0 ** (1 - digits)
    values = np.array([1.0, -1.0, 1 + step, 0.0, 2.0**least])
    below, above = truncation.gaps(values, dtype)
    assert below.tolist() == [step / 2, step, step, 2.0**least, 2.0**least]
    assert above.tolist() == [step, step / 2, step, 2.0**least, 2.0**least]
    low, high = truncation.extremes(Case(0.0, 1.0, -1 - step / 3, 1 + step / 3), dtype)
    assert (low, high) == (-1.0, 1.0)
    assert truncation.extremes(Case(0.0, 1.0, -1.0, math.inf), dtype) == (-1.0, math.inf)


@pytest.mark.parametrize("record", OURS["records"], ids=lambda r: f"{r['case']}-{r['dtype']}")
def test_samples_are_as_good_as_recorded(record: dict[str, Any]) -> None:
    case = Case(*map(float, record["case"]))
    found = beside_torch.measured(beside_torch.ours(), case, record["dtype"], SAMPLES, 60)
    for counted in (record, found):
        assert counted["outside"] == counted["infinite"] == 0
        assert min(*counted["p_at_bounds"], counted["p_distance"]) > FLUKE
    assert 0 < found["worst"] <= record["worst"]


def test_what_is_wrong_shows() -> None:
    """Mass on a bound, a value outside, an infinity, and samples of another width."""
    case, generator = Case(0.0, 1.0, -2.0, 2.0), np.random.default_rng(1)
    share = (generator.integers(2**32, size=SAMPLES) + 0.5) / 2**32
    right = case.quantile(share, 1 - share).astype(np.float32).astype(np.float64)
    clean = truncation.described(case, "float32", right)
    assert min(*clean["p_at_bounds"], clean["p_distance"]) > FLUKE
    piled = np.where(np.arange(SAMPLES) < 5, 2.0, right)
    assert truncation.described(case, "float32", piled)["p_at_bounds"][1] < FLUKE
    piled[:2] = np.nextafter(2.0, 3.0), math.inf
    found = truncation.described(case, "float32", piled)
    assert (found["outside"], found["infinite"]) == (1, 1)
    assert truncation.described(case, "float32", right * 0.8)["p_distance"] < FLUKE
    assert truncation.worst(case, "float32", right + 2.0**-20, right) == pytest.approx(16)


def test_the_results_are_those_of_this_stream_and_complete() -> None:
    assert OURS["stream_version"] == STREAM_VERSION
    measured = [[*map(float, record["case"])] for record in OURS["records"]]
    assert measured == [[*case] for _ in FORMATS for case in CASES]
    assert {"torch 2.11.0", "torch 2.13.0"} < set(STORED)
    assert beside_torch.RESULTS.with_suffix(".md").read_text() == rendered(STORED)
