"""Generators and keys at their limits, shared, seeded, advanced, of another device or kind."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.calls import PATTERN, RANDOM, call, outcome, shape_for
from tritoninit import Key, init
from tritoninit.generator import key_of
from tritoninit.stream import MASK64

CUDA = torch.device("cuda")
EDGES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)]
words = st.one_of(st.sampled_from(EDGES), st.integers(-(2**63), 2**64 - 1))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(words, words, words, st.integers(0, 2**62))
def test_keys_count_modulo_two_to_the_64(seed, offset, data, element):
    key = Key(seed, offset)
    assert key == Key(seed & MASK64, offset & MASK64)
    assert key.fold_in(data) == key.fold_in(data & MASK64)
    assert key.word(element) == Key(seed, (offset + element // 4) & MASK64).word(element % 4)
    assert pickle.loads(pickle.dumps(key)) == copy.deepcopy(key) == copy.copy(key) == key
    assert hash(pickle.loads(pickle.dumps(key))) == hash(key)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(words, st.sampled_from([0, 2**64 - 1, 2**64 - 2, 2**32 - 1, 2**63 - 1]))
def test_kernels_count_as_keys_do(seed, offset):
    """Across the ends of 32 and 64 bits: each block is the first one of the key so far on."""
    tensor = init.uniform_(torch.empty(20), generator=Key(seed, offset))
    for block in range(5):
        key = Key(seed, (offset + block) & MASK64)
        assert torch.equal(init.uniform_(torch.empty(4), generator=key), tensor[4 * block :][:4])


@pytest.mark.parametrize("value", [1.0, "1", None, True, 1j, b"1", torch.tensor(1.5), np.bool_(1)])
def test_what_is_no_integer_makes_no_key(value):
    for make in (Key, lambda v: Key(0, v), lambda v: Key(0).fold_in(v)):
        if isinstance(value, str) and make is not Key:
            continue
        kind, text = outcome(lambda make=make: make(value))
        assert kind is TypeError, text


def test_a_key_cannot_be_changed():
    key = Key(1, 2)
    for name in ("seed", "offset", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(key, name, 3)
    assert key == Key(1, 2)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        Key(0).fold_in("layers.\ud800.weight")


@pytest.mark.parametrize("name", sorted(RANDOM))
@pytest.mark.parametrize(
    "value", [0, 2**64, 1.5, "cpu", torch.device("cpu"), np.random, Key], ids=str
)
def test_what_is_no_generator_is_refused(name, value):
    tensor = torch.full(shape_for(name), 7.0)
    with pytest.raises(
        TypeError, match=r"generator must be a torch.Generator, a tritoninit.Key or"
    ):
        call(name, tensor, generator=value)
    assert (tensor == 7).all()


@pytest.mark.parametrize("name", sorted(PATTERN))
def test_patterns_take_no_generator(name):
    with pytest.raises(TypeError, match="generator"):
        call(name, torch.empty(shape_for(name)), generator=None)


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, 2**64 - 1, -(2**63)])
def test_a_generator_goes_on_from_wherever_it_is(seed):
    first, second = (torch.Generator().manual_seed(seed) for _ in range(2))
    torch.empty(1000).normal_(generator=first)
    second.set_state(first.get_state())
    state = first.get_state()
    tensor = init.normal_(torch.empty(99), generator=first)
    assert torch.equal(init.normal_(torch.empty(99), generator=second), tensor)
    assert torch.equal(first.get_state(), second.get_state())
    assert not torch.equal(first.get_state(), state)


@pytest.mark.parametrize("explicit", [True, False], ids=["a generator", "the default one"])
def test_threads_that_share_a_generator_take_its_draws_one_each(explicit):
    """Whatever the order, together they take what one thread would have."""

    def seeded():
        return torch.Generator().manual_seed(8) if explicit else torch.manual_seed(8)

    def draw(generator):
        tensor = torch.empty(67)
        return tuple(init.normal_(tensor, generator=generator if explicit else None).tolist())

    generator = seeded()
    expected = {draw(generator) for _ in range(400)}
    generator, found = seeded(), []
    threads = [
        threading.Thread(target=lambda: found.extend(draw(generator) for _ in range(100)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(expected) == 400
    assert set(found) == expected


@pytest.mark.parametrize("generator", [None, torch.Generator()], ids=["None", "a generator"])
def test_a_captured_graph_would_repeat_one_draw(generator, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=r"every replay .* pass generator=tritoninit\.Key"):
        key_of(generator, CUDA)
    assert torch.equal(torch.get_rng_state(), state)
    assert key_of(Key(3), CUDA) == Key(3)
    assert key_of(torch.Generator(), torch.device("cpu")).offset == 2**63, "no graph captures it"
