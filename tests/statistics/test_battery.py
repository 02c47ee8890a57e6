"""The battery's tests reject broken samplers, and do not reject ours, at small sizes.

The battery itself is run by ``make battery``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.battery import external, groups_haar, groups_masks
from tests.battery.__main__ import facts
from tests.battery.accumulate import Accumulator, anderson_darling_sf
from tests.battery.correlation import Between, Partners, Serial
from tests.battery.groups_correlation import standard_normals
from tests.battery.groups_values import STANDARD, Case, histogram, low_precision
from tests.battery.keyed import Keys
from tests.battery.policy import FALSE_FAILURE, largest_p, squares_p, threshold, uniformity_p
from tests.battery.power import GROUPS, REJECTED, power, without_power
from tests.battery.render import failures, page
from tests.battery.streams import BLOCKS, PART, all_streams, draws, names, parameter
from tests.battery.word_tests import TESTS
from tests.statistics.masks import pairs_p_value, subsets_p_value
from tritoninit.generator import key_of
from tritoninit.stream import Key, parameter_key

KEY = Key(20260104)
FEW = 1 << 20


@pytest.mark.parametrize("group", GROUPS)
def test_every_broken_sampler_is_rejected_and_every_test_rejects_one(group: str) -> None:
    tried = power(group)
    assert [one.broken for one in tried if not one.rejecting] == []
    assert without_power(tried) == []


def test_p_values_that_are_not_uniform_are_rejected() -> None:
    p = np.random.default_rng(0).random(500)
    assert uniformity_p(p.tolist()) > REJECTED
    assert uniformity_p((p**2).tolist()) < REJECTED


def accepted(found: dict[str, float]) -> bool:
    return min(found.values()) > REJECTED


@pytest.mark.parametrize("name", ["elements", "names interleaved"])
def test_our_words_are_accepted(name: str) -> None:
    stream = next(stream for stream in all_streams() if stream.name == name)
    words = stream.words(PART)
    assert accepted({test: run(words) for test, run in TESTS.items()})


def test_our_normals_are_accepted() -> None:
    x = standard_normals(FEW, KEY, 0, FEW)
    taken, serial, partners = Accumulator(STANDARD), Serial(1000), Partners()
    between = Between(64)
    between.add(x.reshape(64, -1))
    for one in (taken, serial, partners):
        one.add(x)
    assert accepted(taken.p_values() | taken.beyond(3) | taken.beyond(4))
    for one in (serial, partners, between):
        assert accepted(one.p_values())
    case = Case("normal", STANDARD, 1 << 22, torch.bfloat16)
    assert accepted(low_precision(case, histogram(case, 1 << 22).numpy()))


def test_our_masks_and_matrices_are_accepted() -> None:
    assert subsets_p_value(groups_masks.zeros_of(8, 50_000, 3)) > REJECTED
    assert pairs_p_value(groups_masks.zeros_of(64, 10_000, 16)) > REJECTED
    for size in (2, 3, 8):
        assert accepted(groups_haar.p_values(groups_haar.drawn(size, 4000)))


def test_streams_are_the_librarys_words() -> None:
    key = parameter_key(0, parameter(7))
    at = 4 * BLOCKS * 7
    assert names(0)[at : at + 8].tolist() == [key.word(element) for element in range(8)]
    key = parameter_key(0, "layers.0.attn.wq.weight", 3)
    assert draws(0)[8:12].tolist() == list(key.block(0))
    generator = torch.Generator().manual_seed(0)
    keys = [key_of(generator, torch.device("cpu")) for _ in range(3)]
    parts = {stream.name: stream.part(0) for stream in all_streams()}
    assert parts["calls"][32:36].tolist() == list(keys[2].block(0))
    assert parts["seeds"][20:24].tolist() == list(Key(5).block(0))
    assert parts["columns"][1] == parameter_key(0, "layers.0.attn.wq.weight").word(4096)
    assert parts["shards"][512] == parts["columns"][1]
    for word, turned in zip(parts["elements"][:5], parts["reversed"][:5], strict=True):
        assert f"{word:032b}"[::-1] == f"{turned:032b}"
    folded = Keys.of_seeds(3, 2).fold_in(np.array([9, 9], np.uint64))
    assert int(folded.seeds[1]) == Key(4).fold_in(9).seed


def test_the_law_of_anderson_and_darling() -> None:
    """Points of the limiting distribution (P. A. W. Lewis, Ann. Math. Stat. 32, 1961)."""
    for statistic, p in ((1.9330, 0.10), (2.4924, 0.05), (3.8781, 0.01)):
        assert math.isclose(anderson_darling_sf(statistic), p, rel_tol=2e-3)
    assert anderson_darling_sf(0.05) > 0.999
    assert 0 <= anderson_darling_sf(40.0) < 1e-9


def test_combined_p_values() -> None:
    assert math.isclose(largest_p(np.array([0.0, -1.959964])), 1 - 0.95**2, rel_tol=1e-5)
    assert math.isclose(squares_p(np.sqrt([3.841459])), 2 * 0.05, rel_tol=1e-5)


def test_a_failure_is_reported() -> None:
    good = {"subject": "s", "test": "t", "samples": 1, "p": 0.5}
    bad = good | {"p": FALSE_FAILURE / 4}
    groups = {"words": {"outcomes": [good, bad]}, "power": {"without_power": ["gap"]}}
    assert threshold(2) == FALSE_FAILURE / 2
    assert len(failures({"groups": groups})) == 2
    assert failures({"groups": {"words": {"outcomes": [good, bad | {"p": math.nan}]}}})
    assert failures({"groups": {"words": {"outcomes": [good]}}}) == []


def test_the_page_tells_p_values_and_verdict() -> None:
    outcomes = [
        {"subject": "elements", "test": "gap", "samples": 1 << 20, "p": 0.25},
        {"subject": "elements", "test": "runs", "samples": 12, "p": 1e-9},
    ]
    words = facts(quick=True) | {"outcomes": outcomes, "seconds": 1.0}
    document = {"groups": {"words": words}, "false_failure": 1e-4, "streams": {"elements": "all"}}
    text = page(document)
    assert "2 p-values. The battery fails where one is below 0.0001 / 2 = 5e-05" in text
    assert "**It fails**: words: elements, runs: p = 1e-09" in text
    assert "| elements | 2^20, 12 | 2 | 1e-09 | runs | gap 0.25; runs 1e-09 |" in text
    outcomes.pop()
    assert "It passes." in page(document)


def test_reading_practrand() -> None:
    printed = """length= 64 megabytes (2^26 bytes), time= 0.9 seconds
  Test Name                         Raw       Processed     Evaluation
  BCFN(2+0,13-1,T)                  R=  -3.2  p = 0.910     normal
  DC6-9x1Bytes-1                    R= +99.3  p =  2.1e-40    FAIL !!!!
  Gap-16:A                          R=  -5.2  p =1-5.3e-4   unusual
  [Low8/32]Gap-16:B                 R=+19853  p = 0         FAIL !!!!!!!!
"""
    found = dict(external.practrand_lines(printed))
    assert math.isclose(found.pop("BCFN(2+0,13-1,T)"), 0.18)
    assert math.isclose(found.pop("Gap-16:A"), 1.06e-3)
    assert found == {"DC6-9x1Bytes-1": 4.2e-40, "[Low8/32]Gap-16:B": 0.0}
