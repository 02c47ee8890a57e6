"""Orthogonal matrices: one matrix whoever computes it, wherever it goes, in the memory stated."""

from __future__ import annotations

import math
import tracemalloc

import pytest
import torch

import tritoninit
from tritoninit import Key, init, orthogonal
from tritoninit.backends import numba_orthogonal
from tritoninit.backends import orthogonal as host
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.orthogonal import Matrix, fill_matrices

CPU, GPU = torch.device("cpu"), torch.device("cuda")
KEY = Key(5)
SHAPES = [
    *((1, 1), (2, 2), (3, 3), (5, 5), (24, 24), (25, 25), (193, 193)),
    *((1, 7), (7, 1), (40, 7), (7, 40), (6, 2, 3, 3), (200, 130), (130, 300)),
]


def made(shape: tuple[int, ...], gain: float = 1.0, key: Key = KEY) -> torch.Tensor:
    return orthogonal.orthogonal(shape, gain, key, CPU, torch.float64)


def stacked(shape: tuple[int, ...], gain: float, keys: list[Key], size: int) -> list[torch.Tensor]:
    """As a GPU computes matrices, on the CPU."""
    out = [torch.full(shape, math.nan, dtype=torch.float64) for _ in keys]
    members = [Matrix(tensor, gain, key) for tensor, key in zip(out, keys, strict=True)]
    orthogonal._stack(CPU, shape[0], math.prod(shape[1:]), members, size)
    return out


@pytest.mark.parametrize("gain", [1.0, -0.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_strips_and_panels_agree(shape: tuple[int, ...], gain: float) -> None:
    strips, (panels,) = made(shape, gain), stacked(shape, gain, [KEY], 1)
    assert strips.dtype == torch.float64
    assert tuple(strips.shape) == shape
    assert torch.allclose(strips, panels, rtol=0, atol=1e-14)
    flat = strips.reshape(shape[0], math.prod(shape[1:]))
    flat = flat if flat.shape[0] >= flat.shape[1] else flat.t()
    identity = gain**2 * torch.eye(flat.shape[1], dtype=torch.float64)
    assert torch.allclose(flat.t() @ flat, identity, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1), (97, 97), (150, 61), (61, 150), (5000, 3), (3, 5000)])
def test_bits_depend_on_neither_threads_nor_strips(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(shape)
    for lanes_columns in (numba_orthogonal.WIDE, numba_orthogonal.NARROW):
        kernels = numba_orthogonal.kernels(lanes_columns)
        monkeypatch.setattr(host, "kernels", lambda kernels=kernels: kernels)
        assert torch.equal(made(shape), expected)
        monkeypatch.setattr(host, "SERIAL", 0)
        monkeypatch.setattr(host, "CHUNK", 1000)
        for threads in (1, 3):
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            assert torch.equal(made(shape), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(30, 11), (11, 30), (4, 3, 5)])
def test_every_dtype_and_stride_holds_the_same_numbers(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    exact = made(shape, 3.0)
    expected = exact if dtype is torch.float64 else exact.float().to(dtype)
    memory = torch.full((2, *(2 * n + 1 for n in shape)), math.nan, dtype=dtype)
    spread = memory[1][tuple(slice(1, None, 2) for _ in shape)]
    turned = torch.empty(shape[::-1], dtype=dtype).permute(*range(len(shape))[::-1])
    whole = torch.empty(shape, dtype=dtype)
    fill_matrices([Matrix(out, 3.0, KEY) for out in (spread, turned, whole)])
    assert torch.equal(spread, expected)
    assert torch.equal(turned, expected)
    assert torch.equal(whole, expected)
    assert memory.isnan().sum() == memory.numel() - spread.numel()


def test_many_matrices_are_those_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several shapes, gains and dtypes; also where copies are held a few at a time."""
    shapes = [(16, 16), (5, 40), (16, 16), (40, 5), (70, 70), (0, 4)] * 4
    dtypes = [torch.float32, torch.bfloat16, torch.float64]
    for batch in (orthogonal.BATCH, 300):
        monkeypatch.setattr(orthogonal, "BATCH", batch)
        monkeypatch.setattr(host, "MANY", 20_000)
        matrices = [
            Matrix(torch.empty(shape, dtype=dtypes[i % 3]), 1 + i / 4, Key(i))
            for i, shape in enumerate(shapes)
        ]
        fill_matrices(iter(matrices))
        for out, gain, key in matrices:
            alone = torch.empty_like(out)
            fill_matrices([Matrix(alone, gain, key)])
            assert torch.equal(out, alone)
            assert torch.equal(out.double(), made(out.shape, gain, key).float().to(out.dtype)) or (
                out.dtype is torch.float64
            )


@pytest.mark.parametrize("shape", [(70, 70), (90, 70), (70, 90)])
def test_a_stack_holds_the_matrices_and_idle_ones(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Panels of 32: three to a matrix, the last one narrower."""
    monkeypatch.setitem(orthogonal.PANELS, "cpu", 32)
    keys = [Key(i) for i in range(3)]
    for size in (3, 5):
        for tensor, key in zip(stacked(shape, 2.0, keys, size), keys, strict=True):
            assert torch.allclose(tensor, made(shape, 2.0, key), rtol=0, atol=1e-14)


def test_without_numba_panels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthogonal, "host_backend", NumpyBackend)
    assert torch.allclose(made((9, 20)), stacked((9, 20), 1.0, [KEY], 1)[0], rtol=0, atol=0)


def test_the_first_column_is_the_normalised_first_column_of_normals() -> None:
    """R has a positive diagonal: column 0 of Q is column 0 of G over its length."""
    g = torch.empty(9, 4, dtype=torch.float64)
    init.normal_(g, generator=Key(6))
    q = made((9, 4), 2.0, Key(6))
    assert torch.allclose(q[:, 0], 2.0 * g[:, 0] / g[:, 0].norm(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (9, 9), (1, 1)])
def test_the_product_is_the_streams(shape: tuple[int, int]) -> None:
    """H_1 ... H_n S as STREAM.md has it, one whole reflection after the other."""
    g = init.normal_(torch.empty(shape, dtype=torch.float64), generator=KEY)
    g = g if shape[0] >= shape[1] else g.T
    q = torch.eye(g.shape[0], dtype=torch.float64)
    signs = torch.zeros_like(g)
    for k in range(g.shape[1]):
        x = torch.cat([torch.zeros(k, dtype=torch.float64), g[k:, k]])
        sign = -1.0 if x[k] > 0 else 1.0
        u = x.clone()
        u[k] -= sign * x.norm()
        signs[k, k] = sign
        q -= 2 * torch.outer(q @ u, u) / u.dot(u)
    q = q @ signs
    expected = q if shape[0] >= shape[1] else q.T
    assert torch.allclose(made(shape, 2.0), 2.0 * expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("capability", "hip", "on_host"),
    [
        ((8, 0), None, False),
        ((9, 0), None, False),
        ((10, 0), None, False),
        ((7, 5), None, True),
        ((8, 9), None, True),
        ((10, 3), None, True),
        ((12, 0), None, True),
        ((9, 4), "6.4", False),
        ((11, 0), "6.4", True),
    ],
)
def test_the_host_computes_what_goes_to_a_gpu_with_slow_float64(
    capability: tuple[int, int], hip: str | None, on_host: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    assert orthogonal._is_for_host(GPU, 4096, 4096) is on_host
    assert orthogonal._is_for_host(GPU, 4096, 8) is True
    assert orthogonal._is_for_host(torch.device("mps"), 4096, 4096) is True


@pytest.mark.parametrize("shape", [(1200, 1200), (2000, 400), (400, 2000)])
def test_memory_is_what_is_stated(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    long, short = max(shape), min(shape)
    out = torch.empty(shape)
    fill_matrices([Matrix(out, 1.0, Key(1))])
    tracemalloc.start()
    try:
        fill_matrices([Matrix(out, 1.0, Key(1))])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    reflections = 8 * (long * short - short**2 // 2)
    assert reflections <= peak < reflections + 2 * 192 * long + 64 * short + (3 << 20)


class Cell(torch.nn.Module):
    """Matrices whole, in chunks, and written once more in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = torch.nn.ParameterList(torch.empty(9, 9) for _ in range(5))
        self.gates = torch.nn.Parameter(torch.empty(12, 4))
        self.short = torch.nn.Parameter(torch.empty(6, 8, dtype=torch.bfloat16))

    def reset_parameters(self) -> None:
        for matrix in self.whole:
            torch.nn.init.orthogonal_(matrix, gain=2.0)
        for gate in self.gates.data.chunk(3):
            torch.nn.init.orthogonal_(gate)
        torch.nn.init.orthogonal_(self.short)
        with torch.no_grad():
            self.short[2].zero_()


def test_a_model_holds_what_the_initializer_writes() -> None:
    with torch.device("meta"):
        model = Cell()
    tritoninit.materialize(model, device="cpu", seed=3)
    seed = Key(3)
    for i, matrix in enumerate(model.whole):
        key = seed.fold_in(f"whole.{i}")
        assert torch.equal(matrix, init.orthogonal_(torch.empty(9, 9), 2.0, generator=key))
    for draw, gate in enumerate(model.gates.chunk(3)):
        key = seed.fold_in("gates").fold_in(draw) if draw else seed.fold_in("gates")
        assert torch.equal(gate, init.orthogonal_(torch.empty(4, 4), generator=key))
    half = init.orthogonal_(model.short.detach().clone(), generator=seed.fold_in("short"))
    half[2] = 0
    assert torch.equal(model.short, half)
    assert all(parameter._version > 0 for parameter in model.parameters())
