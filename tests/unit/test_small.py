"""Small host tensors, which one call of a kernel fills by its address."""

import os
import threading
import warnings

import numpy as np
import pytest
import torch

from tritoninit import Key, init
from tritoninit.backends.host import fill as host_fill
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.backends.threads import PARALLEL
from tritoninit.layout import DTYPES, is_whole
from tritoninit.ready import ready
from tritoninit.recipe import Eye, Normal, Orthogonal, Sparse, TruncNormal, Uniform
from tritoninit.region import Region
from tritoninit.small import SERIAL
from tritoninit.small import fill_at_once as fill_ready

KEY = Key(2**64 - 3, 2**63 + 5)  # words that no signed 64-bit integer holds
GUARD = 9.0
RECIPES = [
    Uniform(-0.5, 0.5),
    Normal(1.0, 0.02),
    TruncNormal(0.0, 1.0, -2.0, 2.0),
    TruncNormal(0.0, 1.0, 3.0, 5.0),
    TruncNormal(0.0, 1.0, -4.0, 4.0),
]


def fill_at_once(tensor, recipe, generator):
    return is_whole(tensor) and fill_ready(tensor, ready(recipe, tensor.dtype), generator)


def misaligned(numel, dtype):
    memory = bytearray(numel * dtype.itemsize + 1)
    return torch.frombuffer(memory, dtype=dtype, offset=1)


SHAPES = {
    "one": lambda memory: memory[5:6],
    "no dimension": lambda memory: memory[7],
    "empty": lambda memory: memory[3:3],
    "offset": lambda memory: memory[1:130],
    "parameter": lambda memory: torch.nn.Parameter(memory[4:16].view(3, 4)),
    "transposed": lambda memory: memory[2:142].view(10, 14).t(),
    "every other": lambda memory: memory[1:101:2],
    "column": lambda memory: memory[:120].view(10, 4, 3)[:, 1:3, 2],
}


def reference(recipe, shape, dtype):
    values = torch.empty(shape, dtype=dtype)
    flat = values.view(torch.uint16) if dtype.itemsize == 2 else values
    region = Region.whole(shape, tuple(values.stride()))
    host_fill(
        NumpyBackend(), flat.numpy().reshape(-1), region, shape, recipe, KEY, DTYPES[dtype], 1
    )
    return values


def is_kept(memory, part):
    """Whether every element of the memory outside of the part is as it was."""
    with torch.no_grad():
        part.fill_(GUARD)
    return bool((memory == GUARD).all())


@pytest.mark.parametrize("align", ["aligned", "misaligned"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_the_elements_and_no_others_are_written(name, dtype, align):
    memory = torch.empty(150, dtype=dtype) if align == "aligned" else misaligned(150, dtype)
    assert (memory.data_ptr() % dtype.itemsize == 0) == (align == "aligned")
    for recipe in RECIPES:
        memory.fill_(GUARD)
        tensor = SHAPES[name](memory)
        version = tensor._version
        assert fill_at_once(tensor, recipe, KEY)
        assert tensor._version > version
        assert torch.equal(tensor, reference(recipe, tuple(tensor.shape), dtype))
        assert is_kept(memory, tensor)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (9, 5), (130, 7), (1000, 1), (3, 400), (4, 0)])
def test_sparse_matrices_hold_the_same_values_and_zeros(shape, dtype):
    rows, columns = shape
    memory = torch.empty(2 * rows * columns + 8, dtype=dtype)
    for sparsity in (0.0, 0.01, 0.3, 0.9):
        recipe = Sparse(sparsity, 0.5)
        if recipe.zeros(rows) == rows:
            continue
        expected = reference(recipe, shape, dtype)
        for tensor in (
            memory[3 : 3 + rows * columns].view(rows, columns),
            memory[3 : 3 + rows * columns].view(columns, rows).t(),
            memory[: 2 * rows * columns].view(rows, 2 * columns)[:, 1::2],
        ):
            memory.fill_(GUARD)
            assert fill_at_once(tensor, recipe, KEY)
            assert torch.equal(tensor, expected)
            assert is_kept(memory, tensor)


class Wrapped(torch.Tensor):
    """A subclass that hides its memory."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("nothing is dispatched")


def freed():
    tensor = torch.empty(12)[4:]
    tensor.untyped_storage().resize_(40)
    return tensor


def inference():
    with torch.inference_mode():
        return torch.empty(4)


LEFT = {
    "meta": lambda: torch.empty(4, device="meta"),
    "negative": lambda: torch._neg_view(torch.empty(4)),
    "complex": lambda: torch.empty(4, dtype=torch.complex64),
    "integers": lambda: torch.empty(4, dtype=torch.int32),
    "float8": lambda: torch.empty(4, dtype=torch.float8_e4m3fn),
    "sparse": lambda: torch.eye(4).to_sparse(),
    "subclass": lambda: torch.Tensor._make_subclass(Wrapped, torch.empty(4)),
    "inference": inference,
    "overlapping": lambda: torch.empty(1).expand(4),
    "freed": freed,
    "for several threads": lambda: torch.empty(PARALLEL + 1),
    "large and strided": lambda: torch.empty(2, SERIAL + 1)[:, ::2],
}


@pytest.mark.parametrize("name", LEFT)
def test_other_tensors_are_left_to_the_general_way_and_nothing_is_drawn(name):
    state = torch.get_rng_state()
    assert not fill_at_once(LEFT[name](), Uniform(0.0, 1.0), None)
    assert torch.equal(torch.get_rng_state(), state)


def test_recipes_that_no_kernel_writes_alone_are_left():
    state = torch.get_rng_state()
    assert not fill_at_once(torch.empty(4, 4), Sparse(1.0, 1.0), None)
    assert not fill_at_once(torch.empty(4, 4), Eye(), None)
    assert not fill_at_once(torch.empty(4, 4), Orthogonal(1.0), None)
    assert not fill_at_once(torch.empty(4), TruncNormal(0.0, 1.0, 0.5, 0.5), None)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [SERIAL - 1, SERIAL + 1, PARALLEL, PARALLEL + 1])
def test_both_ways_give_the_same_values_about_their_limits(size):
    whole = init.normal_(torch.empty(PARALLEL + 1), generator=KEY)
    strided = init.normal_(torch.empty(size, 2)[:, 0], generator=KEY)
    assert torch.equal(init.normal_(torch.empty(size), generator=KEY), strided)
    assert torch.equal(whole[: size - 1], strided[: size - 1])  # an odd end splits a pair


def test_a_refused_generator_leaves_the_tensor_alone():
    tensor = torch.full((4,), GUARD)
    version = tensor._version
    with pytest.raises(TypeError, match="generator must be"):
        init.normal_(tensor, generator=3)
    assert (tensor == GUARD).all()
    assert tensor._version == version


def test_many_threads_fill_small_tensors_at_once():
    expected = [init.normal_(torch.empty(33), generator=Key(i)) for i in range(64)]
    wrong = []

    def work():
        for _ in range(20):
            for i, values in enumerate(expected):
                if not torch.equal(init.normal_(torch.empty(33), generator=Key(i)), values):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_fills_as_its_parent():
    torch.manual_seed(4)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads
        child = os.fork()
    if not child:
        try:
            os.write(write, init.normal_(torch.empty(5)).numpy().tobytes())
        finally:
            os._exit(0)  # whatever happens, no second pytest goes on from here
    os.close(write)
    received = np.frombuffer(os.read(read, 20), np.float32)
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0
    assert received.tolist() == init.normal_(torch.empty(5)).tolist()
