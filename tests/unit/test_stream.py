"""Keys, counters and words; the recorded vectors are in tests/golden."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit.stream import MASK64, Key, parameter_key, philox4x32

words64 = st.integers(0, MASK64)
fixed = settings(derandomize=True, deadline=None)
keys = st.builds(Key, words64, words64)


@fixed
@given(words64)
def test_negative_words_are_taken_modulo_two_to_the_64(value: int) -> None:
    signed = value - 2**64 if value >= 2**63 else value
    assert Key(signed, signed) == Key(value, value)
    assert Key(0).fold_in(signed) == Key(0).fold_in(value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
@pytest.mark.parametrize("name", ["seed", "offset"])
def test_words_beyond_64_bits_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must lie in .* got {value}"):
        Key(**{"seed": 0, name: value})


@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_words_that_are_no_integers_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="seed must be an int"):
        Key(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [2**64, -(2**63) - 1])
def test_fold_in_beyond_64_bits_is_refused(data: int) -> None:
    with pytest.raises(ValueError, match="data must lie in"):
        Key(0).fold_in(data)


def test_fold_in_of_neither_int_nor_str_is_refused() -> None:
    with pytest.raises(TypeError, match="data must be"):
        Key(0).fold_in(1.5)  # type: ignore[arg-type]


@fixed
@given(keys, st.integers(0, 2**40))
def test_block_is_philox_of_the_counter(key: Key, index: int) -> None:
    counter = (key.offset + index) % 2**64
    low, high = counter % 2**32, counter >> 32
    seed = (key.seed % 2**32, key.seed >> 32)
    assert key.block(index) == philox4x32((low, high, 0, 0), seed)


@fixed
@given(keys, st.integers(0, 2**40))
def test_elements_take_the_lanes_in_order(key: Key, block: int) -> None:
    words = key.block(block)
    assert tuple(key.word(4 * block + lane) for lane in range(4)) == words
    assert key.word64(2 * block) == words[0] << 32 | words[1]
    assert key.word64(2 * block + 1) == words[2] << 32 | words[3]


@fixed
@given(words64, st.integers(0, 2**40), st.integers(0, 2**40))
def test_offset_shifts_the_stream(seed: int, offset: int, block: int) -> None:
    assert Key(seed, offset).block(block) == Key(seed).block(offset + block)


def test_the_counter_wraps() -> None:
    assert Key(9, MASK64).block(1) == Key(9, 0).block(0)
    assert Key(9, MASK64).block(0) == Key(9, 0).block(MASK64)


@fixed
@given(keys, st.text(max_size=40))
def test_a_name_folds_in_its_hash(key: Key, name: str) -> None:
    digest = hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest()
    assert key.fold_in(name) == key.fold_in(int.from_bytes(digest, "little"))


@fixed
@given(keys, st.integers(1, 9))
def test_split_is_fold_in_of_the_ordinals(key: Key, num: int) -> None:
    children = key.split(num)
    assert children == tuple(key.fold_in(i) for i in range(num))
    assert len(set(children)) == num


@pytest.mark.parametrize("num", [0, -1])
def test_split_into_none_is_refused(num: int) -> None:
    with pytest.raises(ValueError, match=f"num must be at least 1, got {num}"):
        Key(0).split(num)


def test_parameter_keys_differ_by_name_and_draw() -> None:
    assert parameter_key(3, "a.weight") == Key(3).fold_in("a.weight")
    assert parameter_key(Key(3), "a.weight", 2) == Key(3).fold_in("a.weight").fold_in(2)
    drawn = {parameter_key(3, name, draw) for name in ("a", "b") for draw in range(3)}
    assert len(drawn) == 6


def test_keys_print_as_they_are_written() -> None:
    key = Key(0x1F, 0xA0)
    assert eval(repr(key), {"Key": Key}) == key
