"""Checkpoints: what they hold, and that whatever happens to a run, the files are whole."""

import errno
import os
import random
import signal

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.models import assert_equal, on_meta
from tests.unit.stored import (
    PIECE,
    SHARD,
    bytes_of,
    checkpoint,
    mixed,
    mortals,
    stored_values,
)
from tritoninit.checkpoint.contents import contents_of
from tritoninit.checkpoint.pieces import Pieces, boxes
from tritoninit.checkpoint.shards import divide, parse_size
from tritoninit.checkpoint.write import FolderError

NAMES = [
    *("turned", "brain", "orthogonal", "sparse", "diagonal", "wide", "scale", "nothing", "mask"),
    *("steps", "real", "embedding.weight", "norm.weight", "norm.bias", "norm.running_mean"),
    *("norm.running_var", "norm.num_batches_tracked", "head.bias"),
]


def materialized(seed):
    model = mixed()
    tritoninit.materialize(model, "cpu", seed=seed)
    return {name: tensor for name, tensor in model.state_dict().items() if name in NAMES}


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (1, 40), (2, 3, 7), (4, 1, 6), (0, 3)])
@pytest.mark.parametrize("most", [1, 3, 6, 100])
def test_boxes_follow_one_another_in_memory(shape, most):
    whole = torch.arange(torch.Size(shape).numel()).reshape(shape)
    found = []
    for offset, sizes in boxes(shape, most):
        box = whole
        for dim, (start, size) in enumerate(zip(offset, sizes, strict=True)):
            box = box.narrow(dim, start, size)
        assert tuple(box.shape) == sizes
        assert 0 < box.numel() <= most
        found += box.reshape(-1).tolist()
    assert found == list(range(whole.numel()))


@pytest.mark.parametrize("piece_bytes", [16, PIECE, 1 << 20])
def test_pieces_are_the_values_of_materialize(piece_bytes):
    expected = materialized(4)
    contents = contents_of(mixed(), 4)
    pieces = Pieces(contents.sources, piece_bytes)
    made = {}
    for stored in contents.tensors:
        parts = [piece.reshape(-1).clone() for piece in pieces.of(stored)]
        if stored.name not in ("orthogonal", "sparse", "diagonal"):  # computed as a whole
            assert all(part.nbytes <= piece_bytes for part in parts)
        empty = torch.empty(0, dtype=stored.tensor.dtype)
        made[stored.name] = torch.cat([empty, *parts]).reshape(stored.shape)
    assert sorted(made) == sorted(NAMES)
    assert_equal(made, expected)


def test_the_files_hold_the_values_of_materialize(tmp_path):
    checkpoint(tmp_path / "o", seed=4)
    assert_equal(stored_values(tmp_path / "o"), materialized(4))
    assert (tmp_path / "o" / "config.json").read_bytes() == b"{}\n"


def test_the_files_are_as_large_as_asked_and_indexed(tmp_path):
    from safetensors import safe_open

    checkpoint(tmp_path)
    contents = contents_of(mixed())
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [f.name for f in files] == [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    for file in files:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
            names = opened.keys()
        size = sum(stored.nbytes for stored in contents.tensors if stored.name in names)
        assert size <= SHARD
        plan = metadata.pop("plan")
        assert len(bytes.fromhex(plan)) == 16
        version = str(tritoninit.STREAM_VERSION)
        assert metadata == {"format": "pt", "seed": "0", "stream_version": version}
    layout = divide(contents, SHARD)
    assert (tmp_path / "model.safetensors.index.json").read_bytes() == layout.index
    assert b'"total_size": %d' % contents.nbytes in layout.index
    assert b'"head.bias": "model-00003-of-00003.safetensors"' in layout.index


def test_one_file_needs_no_index(tmp_path):
    checkpoint(tmp_path, shard=1 << 20, config=None)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert_equal(stored_values(tmp_path), materialized(0))


def test_neither_jobs_nor_pieces_show_in_the_bytes(tmp_path):
    checkpoint(tmp_path / "a")
    checkpoint(tmp_path / "b", jobs=3, piece_bytes=1 << 20)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_an_advance_of_all_bytes_is_reported(tmp_path):
    seen = []
    checkpoint(tmp_path, advance=seen.append)
    layout = divide(contents_of(mixed()), SHARD)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert sum(seen) == layout.nbytes == size
    again = []
    checkpoint(tmp_path, advance=again.append)
    assert sum(again) == sum(seen)


def test_a_run_killed_anywhere_is_continued_to_the_same_bytes(tmp_path):
    checkpoint(tmp_path / "undisturbed")
    expected = bytes_of(tmp_path / "undisturbed")
    choice = random.Random(0)
    killed, sizes = 0, set()
    with mortals() as write_and_die:
        assert write_and_die(tmp_path / "whole", 10**6) == 0
        assert bytes_of(tmp_path / "whole") == expected
        for number in range(20):
            folder = tmp_path / str(number)
            for _ in range(2):
                code = write_and_die(folder, choice.randrange(1, 50))
                assert code in (0, -signal.SIGKILL)
                killed += code == -signal.SIGKILL
                for name, data in bytes_of(folder).items():
                    assert name.endswith(".part") or data == expected[name]
            sizes.add(len(bytes_of(folder)))
            checkpoint(folder)
            assert bytes_of(folder) == expected
    assert killed > 20
    assert len(sizes) > 2


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_after_an_error_no_file_looks_finished(failing, tmp_path, monkeypatch):
    checkpoint(tmp_path / "undisturbed")
    expected = bytes_of(tmp_path / "undisturbed")
    folder, calls, call = tmp_path / "o", [], getattr(os, failing)

    def full(*args):
        calls.append(failing)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space left"):
            checkpoint(folder)
    left = bytes_of(folder)
    assert len(left) < len(expected)
    assert left.items() <= expected.items()
    checkpoint(folder)
    assert bytes_of(folder) == expected


def test_finished_files_are_kept_and_leftovers_removed(tmp_path):
    checkpoint(tmp_path)
    expected = bytes_of(tmp_path)
    first, second = sorted(tmp_path.glob("model-*"))[:2]
    second.unlink()
    (tmp_path / f"{second.name}.0123abcd.part").write_bytes(b"brain")
    (tmp_path / "tokenizer.json").write_text("mine")
    before = first.stat().st_mtime_ns
    done = checkpoint(tmp_path)
    assert first.stat().st_mtime_ns == before
    assert done.written == [second.name]
    assert first.name in done.kept
    assert (tmp_path / "tokenizer.json").read_text() == "mine"
    assert bytes_of(tmp_path) == {**expected, "tokenizer.json": b"mine"}


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    checkpoint(tmp_path)
    before = bytes_of(tmp_path)

    class Other(type(mixed())):
        def reset_parameters(self):
            super().reset_parameters()
            nn.init.normal_(self.turned, std=3.0)

    cases = [
        (dict(seed=1), "its seed is 0, not 1"),
        (dict(shard=600), "this checkpoint has 5 files of weights"),
        (dict(model=on_meta(Other)), "its values have other recipes"),
        (dict(model=on_meta(lambda: nn.Linear(3, 4)), config=None), "has 1 file of weights"),
        (dict(model=mixed().bfloat16()), r"is \[\d.*\] float32, not \[\d.*\] bfloat16|files"),
        (dict(config=b"{ }"), "config.json differs"),
    ]
    for options, message in cases:
        with pytest.raises(FolderError, match=message):
            checkpoint(tmp_path, **options)
        assert bytes_of(tmp_path) == before


@pytest.mark.parametrize("name", ["file", "file/below", "dangling"])
def test_what_is_no_folder_is_named(name, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderError, match=f"{name} cannot be a folder"):
        checkpoint(tmp_path / name)


def test_two_that_write_one_folder_do_not_finish_each_others_files(tmp_path, monkeypatch):
    replace, folder = os.replace, tmp_path / "shared"

    def overtaken(part, path):
        monkeypatch.setattr(os, "replace", replace)
        checkpoint(folder)  # another process, from beginning to end
        replace(part, path)

    monkeypatch.setattr(os, "replace", overtaken)
    with pytest.raises(FolderError, match="another process writes to"):
        checkpoint(folder)
    checkpoint(tmp_path / "alone")
    assert bytes_of(folder) == bytes_of(tmp_path / "alone")


def test_a_file_cut_short_under_its_final_name_is_not_taken_for_finished(tmp_path):
    checkpoint(tmp_path)
    first = min(tmp_path.glob("model-*"))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(FolderError, match="its head describes"):
        checkpoint(tmp_path)


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(FolderError, match=r"1000 bytes free; 3\.\d+ KiB are to be written"):
        checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_stored_is_named():
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            pass

    with pytest.raises(ValueError, match="_extra_state, a dict"):
        contents_of(on_meta(lambda: Extra(2, 2)))
    with pytest.raises(ValueError, match="weight is a parameter on cpu, not on meta"):
        contents_of(nn.Linear(2, 2))

    def hook(module, state, prefix, _):
        state["made"] = state["weight"] * 2

    hooked = on_meta(lambda: nn.Linear(2, 2))
    hooked.register_state_dict_post_hook(hook)
    with pytest.raises(ValueError, match="holds made, which is made from other tensors"):
        contents_of(hooked)
    complex_model = on_meta(lambda: nn.Linear(2, 2, dtype=torch.complex128))
    with pytest.raises(ValueError, match="weight has dtype complex128"):
        divide(contents_of(complex_model), 1 << 20)


def test_a_tensor_larger_than_a_file_has_one_of_its_own():
    layout = divide(contents_of(on_meta(lambda: nn.Sequential(*(nn.Linear(8, 8),) * 3))), 100)
    assert [[s.name for s in shard.tensors] for shard in layout.shards] == [
        ["0.weight"],
        ["0.bias"],
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("1.5 MB", 1_500_000), ("256MiB", 1 << 28), ("7", 7), ("2kb", 2000)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "5XB", "0", "0.1", "1e9", "5 G B"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="expected a size such as 5GB"):
        parse_size(text)
