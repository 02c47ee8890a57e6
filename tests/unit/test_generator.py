"""The key of a call: one fixed step of a generator, whatever the tensor."""

import threading

import pytest
import torch

from tritoninit import Key, init
from tritoninit.generator import CUDA_STEP, key_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CALLS = {
    "uniform_": (),
    "normal_": (),
    "trunc_normal_": (),
    "orthogonal_": (),
    "xavier_uniform_": (),
    "xavier_normal_": (),
    "kaiming_uniform_": (),
    "kaiming_normal_": (),
    "sparse_": (0.5,),
}
SIZES = [(1, 1), (3, 5), (300, 500)]


class CudaGenerator(torch.Generator):
    """A generator that says it is a GPU's; its seed and offset are counted as a GPU's are."""

    device = CUDA
    offset = 0

    def get_offset(self):
        return self.offset

    def set_offset(self, offset):
        self.offset = offset


def state_after_a_draw(seed):
    generator = torch.Generator().manual_seed(seed)
    torch.empty((), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return generator.get_state()


def call(name, tensor, **kwargs):
    return getattr(init, name)(tensor, *CALLS[name], **kwargs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CALLS)
def test_the_default_generator_takes_one_step_whatever_the_size(name, size):
    torch.manual_seed(9)
    call(name, torch.empty(size))
    assert torch.equal(torch.get_rng_state(), state_after_a_draw(9))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CALLS)
def test_an_explicit_generator_takes_the_same_step_and_the_default_one_none(name, size):
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(9)
    tensor = call(name, torch.empty(size), generator=generator)
    assert torch.equal(generator.get_state(), state_after_a_draw(9))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert torch.equal(call(name, torch.empty(size)), tensor)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "sparse_"])
def test_a_tensor_without_elements_takes_the_step_too(name):
    torch.manual_seed(9)
    call(name, torch.empty(0, 3))
    assert torch.equal(torch.get_rng_state(), state_after_a_draw(9))


@pytest.mark.parametrize("name", ["orthogonal_", "kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_where_torch_returns_early_nothing_is_drawn(name):
    state = torch.get_rng_state()
    call(name, torch.empty(0, 3))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", CALLS)
def test_a_key_is_pure(name):
    state = torch.get_rng_state()
    first = call(name, torch.empty(16, 16), generator=Key(4))
    assert torch.equal(call(name, torch.empty(16, 16), generator=Key(4)), first)
    assert not torch.equal(call(name, torch.empty(16, 16), generator=Key(5)), first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["constant_", "ones_", "zeros_", "eye_", "dirac_"])
def test_fixed_values_draw_nothing(name):
    state = torch.get_rng_state()
    tensor = torch.empty((4, 2, 3) if name == "dirac_" else (4, 2))
    getattr(init, name)(tensor, *((1.5,) if name == "constant_" else ()))
    assert torch.equal(torch.get_rng_state(), state)


def test_successive_calls_differ_and_a_seed_repeats_them():
    torch.manual_seed(1)
    first, second = init.normal_(torch.empty(8)), init.normal_(torch.empty(8))
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(init.normal_(torch.empty(8)), first)
    assert torch.equal(init.normal_(torch.empty(8)), second)


def test_the_key_of_a_cpu_generator_is_its_next_64_bits():
    words = torch.empty(2, dtype=torch.int64)
    words.random_(-(2**63), None, generator=torch.Generator().manual_seed(6))
    generator = torch.Generator().manual_seed(6)
    assert [key_of(generator, CPU) for _ in range(2)] == [
        Key(word, 2**63) for word in words.tolist()
    ]


def test_the_default_cpu_generator_serves_every_device():
    torch.manual_seed(6)
    expected = key_of(None, CPU)
    torch.manual_seed(6)
    assert key_of(None, CUDA) == expected


def test_a_gpu_generator_gives_its_seed_and_offset_and_moves_by_one_block():
    generator = CudaGenerator().manual_seed(2**64 - 5)
    generator.offset = 40
    state = torch.get_rng_state()
    assert key_of(generator, CUDA) == Key(2**64 - 5).fold_in(40)
    assert generator.offset == 40 + CUDA_STEP
    assert key_of(generator, CUDA) == Key(2**64 - 5).fold_in(44)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("made", "asked"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_generator_of_another_device_is_refused_and_left_alone(made, asked):
    generator = (CudaGenerator() if made == "cuda" else torch.Generator()).manual_seed(3)
    state = generator.get_state()
    text = f"Expected a '{asked}' device type for generator but found '{made}'"
    with pytest.raises(RuntimeError, match=text):
        key_of(generator, torch.device(asked))
    assert torch.equal(generator.get_state(), state)
    assert made == "cpu" or generator.offset == 0


def test_a_threads_first_draw_may_be_in_inference_mode():
    keys = []

    def draw():
        with torch.inference_mode():
            keys.append(key_of(None, CPU))
        keys.append(key_of(None, CPU))

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert len(set(keys)) == 2


def test_threads_draw_different_keys():
    torch.manual_seed(0)
    keys = []

    def draw():
        keys.extend(key_of(None, CPU) for _ in range(500))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 2000
