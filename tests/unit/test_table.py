"""The table of a launch: every tile of every run once, and what a tile is told."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit.backends.table import GROUP, Run, rows_of, tables, tile_map
from tritoninit.recipe import Constant, Dirac, Normal
from tritoninit.sampler import DType, Sampler, lower

TILE = 4096
WORDS = ("pointer", "head", "end", "seed", "counter")
NORMAL = lower(Normal(0.0, 1.0), (), DType.FLOAT32)
MASK64 = 2**64 - 1


def found(tiles: np.ndarray, groups: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The entries of tiles, as the kernel finds them."""
    low, high = groups[wanted // GROUP], groups[wanted // GROUP + 1]
    while (low < high).any():
        middle = (low + high + 1) // 2
        begun = tiles[middle] <= wanted
        low, high = np.where(begun, middle, low), np.where(begun, high, middle - 1)
    return low


def check_map(ends: list[int]) -> None:
    tiles, groups, programs = tile_map(np.array(ends, dtype=np.uint64), TILE)
    counts = [-(-end // TILE) for end in ends]
    assert programs == sum(counts)
    wanted = np.arange(programs)
    entry = found(tiles, groups, wanted)
    assert (entry == np.repeat(np.arange(len(ends)), counts)).all()
    within = wanted - tiles[entry]
    assert (within == np.concatenate([np.arange(count) for count in counts])).all()


@given(st.lists(st.integers(1, 40 * TILE) | st.integers(1, 9), min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_every_tile_of_every_entry_is_covered_once(ends: list[int]) -> None:
    check_map(ends)


def test_a_huge_entry_among_small_ones() -> None:
    check_map([*range(1, 50), 2**33 + 5, *range(1, 50), 1 << 20])


def test_a_large_entry_takes_no_search() -> None:
    _, groups, _ = tile_map(np.array([1 << 24], dtype=np.uint64), TILE)
    assert (groups[:-1] == groups[1:]).all()


def test_too_many_programs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a launch of 2147483648 programs exceeds 2147483647"):
        tile_map(np.array([2**43], dtype=np.uint64), TILE)


def flat(runs: list[Run]) -> list[int]:
    return [number for run in runs for number in run]


def numbers(*samplers: Sampler) -> tuple[np.ndarray, np.ndarray]:
    """The constants and the integers of samplers."""
    constants = [[float(value) for value in sampler.params] for sampler in samplers]
    integers = [sampler.integers for sampler in samplers]
    return np.array(constants, np.float32), np.array(integers, np.int64)


def laid_out(
    runs: list[Run], itemsize: int = 4, sampler: Sampler = NORMAL
) -> list[list[dict[str, int]]]:
    """The rows of the aligned and of the other table, as unsigned words by name."""
    return [
        [dict(zip(WORDS, row, strict=False)) for row in table.words.view(np.uint64).tolist()]
        for table in tables(flat(runs), sampler.kind, *numbers(sampler), itemsize, TILE)
    ]


def element_places(
    rows: list[dict[str, int]], itemsize: int, lanes: int, each: int
) -> dict[int, tuple[int, int]]:
    """The (block counter, lane) that the kernel computes for the element at each address."""
    places = {}
    for row in rows:
        high, low = row["counter"] >> 32, row["counter"] & 0xFFFFFFFF
        for at in range(row["head"], row["end"]):
            address = row["pointer"] + at * itemsize
            assert address not in places
            places[address] = (high << 32 | (low + at // each) & 0xFFFFFFFF), at % each
        assert row["head"] < lanes
    return places


@given(
    st.integers(0, 40),
    st.integers(0, 60),
    st.integers(1, 80),
    st.sampled_from([5, 2**32 - 12, 2**32 - 3, 7 * 2**32 - 9, 2**64 - 7]),
    st.sampled_from([2, 4, 8]),
)
@settings(max_examples=150, deadline=None)
def test_tiles_begin_at_blocks_and_know_their_counters(
    shift: int, first: int, length: int, offset: int, itemsize: int
) -> None:
    address = 1 << 20 | shift * itemsize
    run = Run(address, first, length, 3, offset, 0)
    (rows,) = laid_out([run], itemsize)
    aligned = (address - first * itemsize) % 16 == 0
    each = 2 if itemsize == 8 else 4
    lanes = 16 // itemsize if aligned else each
    if aligned:
        assert all(row["pointer"] % 16 == 0 for row in rows)
    expected = {
        address + i * itemsize: (offset + (first + i) // each & MASK64, (first + i) % each)
        for i in range(length)
    }
    assert element_places(rows, itemsize, lanes, each) == expected


def test_a_run_of_many_counters_is_parted_at_each_multiple_of_2_to_the_32() -> None:
    length, offset = 3 * 2**34 + 5, 2**32 - 10
    (rows,) = laid_out([Run(4096, 2, length, 0, offset, 0)])
    starts = [row["pointer"] + 4 * row["head"] for row in rows]
    assert starts == [4096, 4096 + 4 * 38, *(4096 + 4 * (38 + k * 2**34) for k in (1, 2))]
    assert sum(row["end"] - row["head"] for row in rows) == length
    assert [row["counter"] >> 32 for row in rows] == [0, 1, 2, 3]


def test_runs_without_elements_vanish_and_others_keep_their_order() -> None:
    lengths = [0, 7, 0, 0, 4096, 1, 0]
    runs = [Run(4096 * n, 0, length, n, 0, 0) for n, length in enumerate(lengths)]
    (rows,) = laid_out(runs)
    assert [(row["seed"], row["end"]) for row in rows] == [(1, 7), (4, 4096), (5, 1)]
    assert laid_out([runs[0]]) == []


def test_misaligned_runs_are_apart() -> None:
    runs = [Run(4096 + 4 * n, 0, 9, n, 0, 0) for n in range(8)]
    aligned, others = laid_out(runs)
    assert [row["seed"] for row in aligned] == [0, 4]
    assert [row["seed"] for row in others] == [1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
def test_constants_are_aligned_wherever_they_begin(itemsize: int) -> None:
    runs = [Run(4096 + itemsize * n, 0, 9, 0, 1 << 40 | n, 0) for n in range(20)]
    (rows,) = laid_out(runs, itemsize, Sampler("constant"))
    for n, row in enumerate(rows):
        assert row["pointer"] % 16 == 0
        assert row["pointer"] + row["head"] * itemsize == 4096 + itemsize * n
        assert row["end"] - row["head"] == 9
        assert row["counter"] == 1 << 40 | n


def test_every_run_has_the_constants_of_its_sampler() -> None:
    samplers = [lower(Normal(float(n), 1.0 + n), (), DType.FLOAT32) for n in range(3)]
    runs = [Run(4096, 0, 4, 0, 0, n) for n in (2, 0, 1, 2)]
    (table,) = tables(flat(runs), "normal", *numbers(*samplers), 4, TILE)
    assert table.constants.tolist() == [[3, 2], [1, 0], [2, 1], [3, 2]]


def test_diagonals_carry_their_integers_and_their_first_index() -> None:
    sampler = lower(Dirac(2), (8, 4, 3), DType.FLOAT32)
    (table,) = tables([*Run(4096 + 4, 13, 20, 0, 0, 0)], "diagonal", *numbers(sampler), 4, TILE)
    assert table.words.tolist() == [[4096, 1, 21, 0, 12, *sampler.integers]]
    assert table.constants.shape == (1, 0)
    assert lower(Constant(0.0), (), DType.FLOAT32).kind == "constant"


ROWS = dict(first=16, length=8, stride=48, rows=100, itemsize=4, offset=2**40)


def test_rows_say_how_their_blocks_go_on() -> None:
    slots, inverse, shift, jump = rows_of(**ROWS)
    assert (slots, jump) == (2, (48 - 8) // 4)
    for word in (0, 1, 2, 199, 2**31 - 1):
        assert 2 * word * inverse >> 32 >> shift == word // slots
    far = dict(rows=2, stride=2**33)
    assert rows_of(**ROWS | far) == (2, 2**31, 1, 2**31 - 2)


def test_rows_that_a_table_does_not_take() -> None:
    for change in (
        dict(first=2),
        dict(length=6),
        dict(stride=46),
        dict(itemsize=2, first=4),
        dict(rows=2**30),
        dict(offset=2**32 - 1000),  # the last of the 1,192 blocks has another high half
        dict(stride=2**33, offset=2**31),
    ):
        assert rows_of(**ROWS | change) is None, change
    assert rows_of(**ROWS | dict(offset=2**32 - 1192 - 4)) is not None


def calls(count: int) -> int:
    """How many functions are called to lay out so many runs."""
    runs = flat([Run(1 << 20 | n * 512, 0, 100 + n % 7, n, n, 0) for n in range(count)])
    seen: list[str] = []
    sys.setprofile(lambda _frame, event, _arg: seen.append(event) if "call" in event else None)
    try:
        (table,) = tables(runs, "normal", *numbers(NORMAL), 2, TILE)
    finally:
        sys.setprofile(None)
    assert table.programs == count
    return len(seen)


def test_runs_are_laid_out_all_at_once() -> None:
    assert calls(5) == calls(50_000)
