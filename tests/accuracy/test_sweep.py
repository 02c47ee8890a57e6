"""The reference of the sweep over all words against mpmath, and the recorded results."""

from __future__ import annotations

import json
import math

import pytest
from mpmath import mp

from tests.accuracy import sweep
from tritoninit import STREAM_VERSION

WORDS = [0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, *range(3, 2**32, 2**28 + 12345)]
STORED = json.loads(sweep.RESULTS.read_text())
DOUBLE = 2.0**-45  # of what the reference may be off: 2**-21 of the unit of the errors


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def share(word: int) -> mp.mpf:
    return (mp.mpf(word) + mp.mpf("0.5")) / 2**32


@pytest.mark.parametrize("word", WORDS)
def test_the_reference_of_a_normal(word: int) -> None:
    radius = mp.sqrt(-2 * mp.log(share(word)))
    assert abs(sweep.exact_radius(word) / radius - 1) < DOUBLE
    turn = 2 * mp.pi * share((word - 1) % 2**31)
    for found, exact in zip(sweep.exact_direction(word), (mp.cos(turn), mp.sin(turn)), strict=True):
        assert abs(found / exact - 1) < DOUBLE


@pytest.mark.parametrize("bounds", [bounds for bounds in sweep.SWEEPS.values() if bounds], ids=str)
def test_the_reference_of_a_truncated_normal(bounds: tuple[float, float]) -> None:
    alpha, beta = bounds
    low, high = (mp.ncdf(bound) for bound in bounds)
    reverse = not alpha < 0 < beta
    for word in WORDS:
        u = share(word)
        if reverse:  # the share beyond, of the tail; of a tail on the left that is below
            u = 1 - u if alpha >= 0 else u
        wanted = low + (high - low) * u
        side = 1 if wanted > 0.5 else -1
        survival = (1 - wanted) if side > 0 else wanted
        exact = side * mp.findroot(
            lambda y, s=survival: mp.log(mp.erfc(y / mp.sqrt(2)) / 2) - mp.log(s),
            mp.mpf(max(abs(alpha) if math.isfinite(alpha) else 1, 1)),
            tol=1e-40,
            verify=False,
        )
        near = float(exact) + 1e-6  # a sample is that near
        v = share(2**32 - 1 - word)
        found = sweep.exact_quantile(near, float(share(word)), float(v), alpha, beta)
        assert abs(found - exact) < max(1, abs(exact)) * 2.0**-36


def test_the_results_are_those_of_this_stream() -> None:
    assert STORED["stream_version"] == STREAM_VERSION
    assert [result["sampler"] for result in STORED["results"]] == list(sweep.SWEEPS)


@pytest.mark.parametrize("result", STORED["results"], ids=lambda result: result["sampler"])
def test_a_part_of_the_words_is_within_the_results(result) -> None:
    found = sweep.measured(result["sampler"], 1_000_003, 1)
    assert 0 < found.absolute <= result["absolute"]
    assert 0 < found.relative <= result["relative"]
    run, _ = sweep.kernel(result["sampler"])
    for name in ("absolute", "relative"):
        word = result[f"{name}_at"]
        worst = sweep.Worst(*run(word, word + 1, 1))
        assert getattr(worst, name) / sweep.UNIT == pytest.approx(result[name], rel=1e-6)
