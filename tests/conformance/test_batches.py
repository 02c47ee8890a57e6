"""Models filled through tables: the bits of single fills, in as few launches as there are kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn
from torch.distributed.tensor import Shard

import tritoninit
from tests.conformance.backends import AVAILABLE
from tests.conformance.families import Decoder, Residual, build
from tritoninit import batch, schedule
from tritoninit.batch import Job, fill_many
from tritoninit.dtensor import Part
from tritoninit.layout import place
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Recipe,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.stream import Key

if "triton" not in AVAILABLE:
    pytest.skip("Triton is not installed", allow_module_level=True)

from tritoninit.backends import triton_table

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Launch = tuple[str, str, str]


class Counted:
    """The table kernel, counting its launches by (element type, kind, what its runs are)."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.launches: Counter[Launch] = Counter()
        self.alone: list[Recipe] = []

    def __getitem__(self, grid: tuple[int]) -> Any:
        def launch(**arguments: Any) -> None:
            runs = "rows" if arguments["ROWS"] else "words" if arguments["ALIGNED"] else "odd"
            self.launches[str(arguments["DTYPE"]), arguments["KIND"], runs] += 1
            self.kernel[grid](**arguments)

        return launch


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Tables wherever the tests run; what is filled alone is counted too."""
    found = Counted(triton_table.fill_table)
    alone = batch.fill_parts

    def fill_parts(parts: list[Part], recipe: Recipe, key: Key | None) -> None:
        found.alone.append(recipe)
        alone(parts, recipe, key)

    for module in (batch, schedule):
        monkeypatch.setattr(module, "DEVICES", (DEVICE,))
    monkeypatch.setattr(triton_table, "fill_table", found)
    monkeypatch.setattr(batch, "fill_parts", fill_parts)
    return found


def one_by_one(call: Callable[[str], Any]) -> Any:
    """What a call gives on the host, where every fill is its own."""
    with mock.patch.object(batch, "DEVICES", ()), mock.patch.object(schedule, "DEVICES", ()):
        return call("cpu")


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].cpu(), tensor), name


FAMILIES: dict[str, tuple[type[nn.Module], torch.dtype, set[Launch]]] = {
    "decoder": (
        Decoder,
        torch.bfloat16,
        {("bf16", "normal", "words"), ("bf16", "log", "words"), ("uint16", "constant", "words")},
    ),
    "residual": (
        Residual,
        torch.float32,
        {
            ("fp32", "normal", "words"),
            ("fp32", "uniform", "words"),
            ("fp32", "diagonal", "words"),
            ("uint32", "constant", "words"),
            ("uint64", "constant", "words"),  # BatchNorm counts its batches
        },
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_takes_one_launch_for_each_dtype_and_kind(counted: Counted, family: str) -> None:
    kind, dtype, launches = FAMILIES[family]

    def materialized(device: str) -> dict[str, torch.Tensor]:
        model = build(kind, dtype)
        tritoninit.materialize(model, device, seed=5)
        return model.state_dict()

    found = materialized(DEVICE)
    assert counted.launches == Counter(dict.fromkeys(launches, 1))
    assert counted.alone == []
    assert_equal(found, one_by_one(materialized))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shard_of_rows_takes_as_many_and_one_more_for_what_is_misaligned(
    counted: Counted, family: str
) -> None:
    kind, dtype, launches = FAMILIES[family]

    def simulated(device: str) -> dict[str, torch.Tensor]:
        return tritoninit.simulate(
            build(kind, dtype),
            {"dp": 2},
            mesh={"dp": 7},
            placements=lambda name, tensor: [Shard(0)] if tensor.dim() else None,
            seed=5,
            device=device,
        )

    found = simulated(DEVICE)
    every = {(name, of, runs) for name, of, _ in launches for runs in ("words", "odd")}
    assert set(counted.launches) <= every
    assert set(counted.launches.values()) == {1}
    assert any(runs == "odd" for *_, runs in counted.launches) == (family == "residual")
    assert counted.alone == []
    assert_equal(found, one_by_one(simulated))


def test_a_shard_of_columns_takes_as_many(counted: Counted) -> None:
    def simulated(device: str) -> dict[str, torch.Tensor]:
        return tritoninit.simulate(
            build(Decoder, torch.bfloat16),
            {"tp": 1},
            mesh={"tp": 3},
            placements=lambda name, tensor: [Shard(1)] if tensor.dim() == 2 else None,
            seed=5,
            device=device,
        )

    found = simulated(DEVICE)
    expected = {
        ("bf16", "normal", "rows"),
        ("bf16", "log", "rows"),
        ("uint16", "constant", "words"),
    }
    assert counted.launches == Counter(dict.fromkeys(expected, 1))
    assert counted.alone == []
    assert_equal(found, one_by_one(simulated))


def test_a_launch_for_every_tensor_would_be_noticed(counted: Counted) -> None:
    for key in (Key(1), Key(2)):
        fill_many([job(torch.empty(5, device=DEVICE), Normal(0.0, 1.0), key)])
    assert counted.launches == {("fp32", "normal", "words"): 2}
    fill_many([job(torch.empty(5, 4, device=DEVICE).t(), Normal(0.0, 1.0), Key(1))])
    assert counted.alone == [Normal(0.0, 1.0)]


def job(tensor: torch.Tensor, recipe: Recipe, key: Key | None = None) -> Job:
    return Job([Part(tensor, place(tensor, None, None))], recipe, key)


def part(tensor: torch.Tensor, shape: tuple[int, ...], offset: tuple[int, ...]) -> Part:
    return Part(tensor, place(tensor, shape, offset))


def jobs_of(device: str) -> list[Job]:
    """Jobs of every kind, of which tables take some."""

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    normal, offsets = Normal(0.5, 2.0), (2**40 + 7, 2**32 - 2000)
    wide = empty(6, 40)
    return [
        job(empty(7, 9), normal, Key(1)),
        job(empty(0, 3), normal, Key(1)),
        job(empty(), normal, Key(2)),
        job(empty(9, 7).t(), normal, Key(3)),
        Job([part(empty(3, 8), (9, 8), (2, 0)), part(empty(2, 8), (9, 8), (6, 0))], normal, Key(4)),
        Job([part(empty(9, 4), (9, 8), (0, 3))], normal, Key(5)),
        Job([part(empty(1, 4), (9, 8), (5, 3))], normal, Key(5)),
        *(
            Job([part(empty(*sizes, dtype=dtype), shape, offset)], normal, Key(n, offsets[n % 2]))
            for n, (sizes, shape, offset) in enumerate(COLUMNS)
            for dtype in (torch.float32, torch.bfloat16, torch.float64)
        ),
        Job([part(wide[:, 8:16], (6, 16), (0, 8))], normal, Key(5)),
        Job([part(empty(99)[1:97].view(12, 8), (12, 16), (0, 8))], normal, Key(5)),
        Job([part(empty(6, 8), (6, 16), (0, 8))], Eye(), None),
        job(wide[1:3], Uniform(-1.0, 1.0), Key(6)),
        job(wide[3:, 5:9], Uniform(-1.0, 1.0), Key(7)),
        job(wide[0, ::3], Uniform(-1.0, 1.0), Key(7)),
        job(empty(5, 5, dtype=torch.float64), normal, Key(8)),
        job(empty(5, 5, dtype=torch.complex64), normal, Key(9)),
        job(empty(6, 9, dtype=torch.float16), TruncNormal(0.0, 1.0, 3.0, 4.0), Key(10)),
        job(empty(6, 9, dtype=torch.bfloat16), TruncNormal(0.0, 1.0, 0.5, 0.5), Key(10)),
        job(empty(6, 9, dtype=torch.float64), TruncNormal(0.0, 1.0, -2.0, 2.0), Key(10)),
        job(empty(20, 6), Sparse(0.5, 1.0), Key(11)),
        job(empty(20, 6), Sparse(1.0, 1.0), Key(12)),
        job(empty(6, 6), Orthogonal(2.0), Key(13)),
        job(empty(6, 9), Eye()),
        Job([part(empty(2, 9), (6, 9), (3, 0))], Eye(), None),
        Job([part(empty(6, 3), (6, 9), (0, 2))], Eye(), None),
        job(empty(6, 3, 5, dtype=torch.bfloat16), Dirac(2)),
        job(empty(6, 9, dtype=torch.int64), Eye()),
        *(job(empty(3, 7, dtype=dtype), Constant(-2.0)) for dtype in SIGNED),
        job(empty(3, dtype=torch.bool), Constant(3)),
        job(empty(3, dtype=torch.complex64), Constant(1 - 2j)),
        job(empty(3, dtype=torch.complex128), Constant(1 - 2j)),
        job(empty(3, dtype=torch.complex64).conj(), Constant(1 - 2j)),
        job(empty(3), Constant(-0.0)),
        job(empty(3), Constant(0.0)),
        Job([part(empty(9, 4), (9, 8), (0, 3))], Constant(0.1), None),
        job(empty(9, 4).t(), Constant(0.1)),
    ]


# (sizes, global shape, offset) of shards of columns that are made of whole words.
COLUMNS = [
    ((9, 8), (9, 32), (0, 8)),
    ((700, 24), (701, 72), (1, 48)),
    ((3, 5, 16), (9, 5, 48), (3, 0, 16)),
    ((4, 6, 10, 8), (4, 18, 10, 8), (0, 12, 0, 0)),
    ((2, 8), (2**21, 2**21), (2**20, 2**20)),
    ((5, 4120), (5, 8240), (0, 4120)),
]
SIGNED = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of the elements; of a conjugated view, those of its values."""
    return tensor.resolve_conj().contiguous().cpu().reshape(-1).view(torch.uint8)


def test_jobs_of_every_kind_are_written(counted: Counted) -> None:
    found = jobs_of(DEVICE)
    versions = [job.parts[0].tensor._version for job in found]
    fill_many(found)
    alone = Counter(type(recipe) for recipe in counted.alone)

    def filled(device: str) -> list[Job]:
        jobs = jobs_of(device)
        fill_many(jobs)
        return jobs

    for a, b, version in zip(found, one_by_one(filled), versions, strict=True):
        assert a.parts[0].tensor._version > version
        for mine, other in zip(a.parts, b.parts, strict=True):
            if isinstance(a.recipe, Orthogonal):
                torch.testing.assert_close(mine.tensor.cpu(), other.tensor)
            else:
                assert torch.equal(bits(mine.tensor), bits(other.tensor)), a
    # Strided memory, odd columns, rows whose counters cross 2**32 (two of COLUMNS, three dtypes),
    # complex numbers, many constants, a mask, an identity of integers or in columns.
    expected = {
        Normal: 11,
        Uniform: 2,
        TruncNormal: 1,
        Sparse: 1,
        Eye: 3,
        Constant: 3,
    }
    assert alone == expected
