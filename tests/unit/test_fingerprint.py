"""fingerprint: what changes it, what does not, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.unit.test_digest import NumpyBackend
from tritoninit import fingerprint, fingerprints
from tritoninit.backends import host_backend
from tritoninit.digest import Digest, element, header
from tritoninit.fingerprint import local

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.complex128, torch.complex32, torch.bool, torch.int8, torch.uint8, torch.int64),
    *(torch.uint16, torch.float8_e4m3fn, torch.float8_e5m2),
]


def random_bits(dtype: torch.dtype, *shape: int) -> Tensor:
    """A tensor of random bits; of a bool the two that it has."""
    generator = torch.Generator().manual_seed(3)
    count = math.prod(shape) * dtype.itemsize
    data = torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)
    return (data & 1 if dtype is torch.bool else data).view(dtype).view(shape)


def from_the_definition(name: str, tensor: Tensor) -> Digest:
    """STREAM.md, word for word, from the contiguous bytes."""
    kind = str(tensor.dtype).removeprefix("torch.")
    key, total = header(name, kind, tuple(tensor.shape))
    size = min(tensor.itemsize, 8)
    data = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    for index in range(len(data) // size):
        bits = int.from_bytes(data[index * size : (index + 1) * size], "little")
        total += element(key, index, bits)
    return total


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_follows_the_definition(dtype: torch.dtype) -> None:
    tensor = random_bits(dtype, 5, 7)
    number = fingerprint(tensor)
    assert number == str(from_the_definition("", tensor))
    for view in (tensor.t().contiguous().t(), tensor.repeat(2, 2)[5:, 7:]):
        assert not view.is_contiguous()
        assert fingerprint(view) == number
    assert fingerprint(tensor[:, 2]) == str(from_the_definition("", tensor[:, 2]))


def test_lazy_conjugations_and_negations_count_as_values() -> None:
    tensor = random_bits(torch.complex64, 5, 7)
    conjugate = tensor.conj()
    assert conjugate.is_conj()
    assert fingerprint(conjugate) == fingerprint(conjugate.resolve_conj())
    negative = conjugate.imag
    assert negative.is_neg()
    assert fingerprint(negative) == fingerprint(negative.resolve_neg().clone())
    scalar = tensor[0, 0].conj()
    assert fingerprint(scalar) == fingerprint(scalar.resolve_conj())


def test_slices_that_are_copied_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = random_bits(torch.complex128, 9, 7)
    monkeypatch.setattr(local, "CHUNK", 16)
    assert fingerprint(tensor.conj()) == fingerprint(tensor.conj().resolve_conj())


def test_numpy_gives_the_number_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {str(dtype): random_bits(dtype, 4, 5) for dtype in DTYPES}
    number = fingerprint(tensors)
    assert host_backend().name == "numba"
    monkeypatch.setattr(local, "host_backend", NumpyBackend)
    assert fingerprint(tensors) == number


def model() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(6, 4, generator=generator),
        "a.bias": torch.randn(6, generator=generator),
        "b.weight": torch.randn(6, 4, generator=generator).bfloat16(),
        "empty": torch.empty(0, 3),
    }


def flip(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"].view(torch.int32)[5, 3] ^= 1


def swap(tensors: dict[str, Tensor]) -> None:
    tensors["a.bias"][[0, 1]] = tensors["a.bias"][[1, 0]]


def swap_between(tensors: dict[str, Tensor]) -> None:
    held = tensors["a.weight"][0, 0].clone()
    tensors["a.weight"][0, 0] = tensors["a.bias"][0]
    tensors["a.bias"][0] = held


def rename(tensors: dict[str, Tensor]) -> None:
    tensors["c.weight"] = tensors.pop("b.weight")


def rename_empty(tensors: dict[str, Tensor]) -> None:
    tensors["nothing"] = tensors.pop("empty")


def recast(tensors: dict[str, Tensor]) -> None:
    tensors["b.weight"] = tensors["b.weight"].view(torch.float16)


def reshape(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"] = tensors["a.weight"].view(4, 6)


def transpose(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"] = tensors["a.weight"].t().contiguous()


def exchange_names(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"], tensors["b.weight"] = tensors["b.weight"], tensors["a.weight"]


def drop_empty(tensors: dict[str, Tensor]) -> None:
    del tensors["empty"]


CHANGES = [
    *(flip, swap, swap_between, rename, rename_empty, recast, reshape, transpose),
    *(exchange_names, drop_empty),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_what_changes_the_number(change: Callable[[dict[str, Tensor]], None]) -> None:
    changed = model()
    change(changed)
    assert fingerprint(changed) != fingerprint(model())


def test_every_bit_of_every_element_counts() -> None:
    seen = {fingerprint(torch.zeros(3, dtype=torch.int16))}
    for index in range(3):
        for bit in range(16):
            tensor = torch.zeros(3, dtype=torch.int16)
            tensor[index] = torch.tensor(1 << bit).to(torch.int16)
            seen.add(fingerprint(tensor))
    assert len(seen) == 1 + 3 * 16


def test_zeros_and_nans_are_compared_by_their_bits() -> None:
    assert fingerprint(torch.zeros(2)) != fingerprint(-torch.zeros(2))
    nans = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert fingerprint(nans[0]) != fingerprint(nans[1])
    assert fingerprint(nans) == fingerprint(nans.clone())


def test_what_does_not_change_the_number() -> None:
    tensors = model()
    number = fingerprint(tensors)
    assert len(number) == 32
    assert int(number, 16)
    assert fingerprint(dict(reversed(tensors.items()))) == number
    prefixed = {f"_orig_mod.{name}": nn.Parameter(t) for name, t in tensors.items()}
    assert fingerprint(prefixed) == number
    assert all(torch.equal(a, b) for a, b in zip(tensors.values(), model().values(), strict=True))
    assert [t._version for t in tensors.values()] == [t._version for t in model().values()]


def test_each_tensors_number_finds_the_one_that_differs() -> None:
    changed = model()
    flip(changed)
    before, after = fingerprints(model()), fingerprints(changed)
    assert [name for name in before if before[name] != after[name]] == ["a.weight"]
    total = sum((Digest(int(n[:16], 16), int(n[16:], 16)) for n in after.values()), Digest())
    assert str(total) == fingerprint(changed)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scratch", torch.ones(3), persistent=False)


def test_a_module_is_its_state_dict_and_ties_count_once() -> None:
    tied = Tied()
    number = fingerprint(tied)
    assert fingerprint(tied.state_dict()) == number
    untied = {name: t.clone() for name, t in tied.state_dict().items() if name != "head.weight"}
    assert set(fingerprints(tied)) == set(untied)
    assert fingerprint(untied) == number
    with torch.no_grad():
        tied.scratch.fill_(2.0)
    assert fingerprint(tied) == number
    rows = {"all": tied.embed.weight, "rows": tied.embed.weight[:3]}
    assert set(fingerprints(rows)) == {"all", "rows"}, "a part is a tensor of its own"


def freed() -> Tensor:
    tensor = torch.empty(4)
    tensor.untyped_storage().resize_(0)
    return tensor


def fake() -> Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.empty(3)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a list": ([torch.ones(1)], TypeError, "got list"),
    "no tensors": ({"w": torch.ones(1), "step": 3, "lr": 0.1}, TypeError, r"'step' \(int\), 'lr'"),
    "numbered": ({0: torch.ones(1)}, TypeError, r"strings, got \[0\]"),
    "meta": ({"w": torch.empty(2, device="meta")}, ValueError, "w is on meta"),
    "fake": ({"w": fake()}, TypeError, "w is a FakeTensor"),
    "sparse": ({"w": torch.eye(2).to_sparse()}, TypeError, "w must have the strided layout"),
    "freed": ({"w": freed()}, ValueError, "w of shape .* 16 bytes .* freed"),
    "lazy": (nn.LazyLinear(3), ValueError, "weight is lazy"),
    "one name": (
        {"_orig_mod.w": torch.ones(1), "w": torch.zeros(1)},
        ValueError,
        "'_orig_mod.w' and 'w' are both called 'w'",
    ),
}


@pytest.mark.parametrize("label", REFUSED)
@pytest.mark.parametrize("call", [fingerprint, fingerprints], ids=lambda f: f.__name__)
def test_what_is_refused(call: Callable[[Any], Any], label: str) -> None:
    value, error, text = REFUSED[label]
    with pytest.raises(error, match=text):
        call(value)


def test_memory_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the strides, the backend is handed the tensor's own memory."""
    kind = type(host_backend())
    original = kind.digest_rows
    tensors = {
        "transposed": torch.randn(30, 40).t(),
        "complex": torch.randn(7, 5, dtype=torch.complex128)[1:, ::2],
        "bool": torch.rand(64)[3:] > 0.5,
    }
    ends = [
        (t.untyped_storage().data_ptr(), t.untyped_storage().nbytes()) for t in tensors.values()
    ]
    read = []

    def record(self: Any, data: np.ndarray, *arguments: Any) -> Digest:
        read.append(data.ctypes.data)
        return original(self, data, *arguments)

    monkeypatch.setattr(kind, "digest_rows", record)
    fingerprint(tensors)
    assert len(read) >= len(tensors)
    for at in read:
        assert any(begin <= at < begin + size for begin, size in ends)
