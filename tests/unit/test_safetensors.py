"""The heads of safetensors files, beside the safetensors package."""

import json

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tritoninit.adapters.safetensors import (
    CODES,
    MOST_HEAD_BYTES,
    NAMES,
    SIZES,
    FormatError,
    encode,
    read_head,
)

TENSORS = {
    "wide": torch.arange(3, dtype=torch.float64),
    'name with "quotes", ü': torch.ones(2, 3),
    "scalar": torch.tensor(7, dtype=torch.int16),
    "none": torch.empty(0, 5),
    "flags": torch.tensor([True, False, True]),
}


def described(tensors):
    return {n: (str(t.dtype).removeprefix("torch."), tuple(t.shape)) for n, t in tensors.items()}


def test_the_package_reads_what_is_encoded(tmp_path):
    head = encode(described(TENSORS), {"format": "pt", "seed": "3"})
    assert len(head) % 8 == 0
    data = b"".join(t.numpy().tobytes() for t in TENSORS.values())
    (tmp_path / "f").write_bytes(head + data)
    with safe_open(tmp_path / "f", "pt") as file:
        assert file.metadata() == {"format": "pt", "seed": "3"}
        assert set(file.keys()) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert torch.equal(file.get_tensor(name), tensor)
            assert file.get_tensor(name).dtype == tensor.dtype


def test_what_the_package_writes_is_read(tmp_path):
    save_file(TENSORS, tmp_path / "f", metadata={"a": "b"})
    head = read_head(tmp_path / "f")
    assert head.metadata == {"a": "b"}
    data = (tmp_path / "f").read_bytes()
    assert {n: (e.dtype, e.shape) for n, e in head.entries.items()} == described(TENSORS)
    for name, (_, _, begin, end) in head.entries.items():
        assert data[begin:end] == TENSORS[name].numpy().tobytes()


@pytest.mark.parametrize("name", CODES)
def test_every_dtype_is_the_packages(name, tmp_path):
    dtype = getattr(torch, name)
    save_file({"t": torch.zeros(3, dtype=torch.uint8).to(dtype)}, tmp_path / "f")
    (entry,) = read_head(tmp_path / "f").entries.values()
    assert entry.dtype == name
    assert SIZES[CODES[name]] == dtype.itemsize
    assert NAMES[CODES[name]] == name


def test_a_dtype_that_the_format_lacks_is_named():
    with pytest.raises(ValueError, match="w has dtype complex128, which safetensors"):
        encode({"w": ("complex128", (2,))}, {})


def test_a_head_that_the_package_would_refuse_is_refused():
    with pytest.raises(ValueError, match=f"{MOST_HEAD_BYTES:,} are allowed; choose smaller"):
        encode({"w" * MOST_HEAD_BYTES: ("float32", (2,))}, {})


def file_of(document, size=0):
    text = json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


def entry(begin, end, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no safetensors file, or cut short"),
        (b"{}", "no safetensors file, or cut short"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "cut short"),
        (file_of([1]), "is no safetensors file"),
        (file_of({"a": {"shape": [2]}}), "is no safetensors file: a has dtype None"),
        (file_of({"a": None}), "is no safetensors file: a has dtype None"),
        (file_of({"a": entry(0, 8)}, 7), "bytes, its head describes"),
        (file_of({"a": entry(0, 8)}, 9), "bytes, its head describes"),
        (file_of({"a": entry(4, 12)}, 12), "a gap or an overlap before a"),
        (file_of({"a": entry(0, 8), "b": entry(4, 12)}, 12), "a gap or an overlap before b"),
        (file_of({"a": entry(0, 9)}, 9), r"\[2\] of F32 in 9 bytes"),
        (file_of({"a": entry(0, 8, dtype="F7")}, 8), "a has dtype 'F7', which the format does not"),
    ],
)
def test_files_that_are_not_whole(data, message, tmp_path):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        read_head(tmp_path / "f")


REFUSED = [
    file_of({"a": entry(0, 8, (2.0,))}, 8),
    file_of({"a": entry(0, 4, (True,))}, 4),
    file_of({"a": entry(0, 8, (-2,))}, 8),
    file_of({"a": entry(0.0, 8.0)}, 8),
    file_of({"a": {**entry(0, 8), "data_offsets": [0, 4, 8]}}, 8),
    file_of({"a": entry(0, 8), "__metadata__": {"seed": 5}}, 8),
    file_of({"a": entry(0, 8), "__metadata__": "seed"}, 8),
    (7).to_bytes(8, "little") + b"\xef\xbb\xbf{}  ",
    (50_006).to_bytes(8, "little") + b'{"a":' + b"[" * 50_000 + b"}",
]


@pytest.mark.parametrize("data", REFUSED, ids=range(len(REFUSED)))
def test_what_the_package_refuses_is_refused(data, tmp_path):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(SafetensorError), safe_open(tmp_path / "f", "pt"):
        pass
    with pytest.raises(FormatError, match="f is no safetensors file"):
        read_head(tmp_path / "f")


def test_a_name_given_twice_is_refused(tmp_path):
    text = b'{"a":%s,"a":%s}' % (2 * (json.dumps(entry(0, 8)).encode(),))
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(FormatError, match="it names a twice"):
        read_head(tmp_path / "f")


def test_the_name_that_the_format_keeps_is_refused():
    with pytest.raises(ValueError, match="keep the name __metadata__"):
        encode({"__metadata__": ("float32", (2,))}, {"seed": "0"})
