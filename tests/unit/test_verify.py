"""verify finds every kind of difference, and says where."""

import json
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.stored import PIECE, checkpoint, mixed, stored_values
from tritoninit.checkpoint.contents import contents_of
from tritoninit.checkpoint.verify import stated_metadata, unravelled, verify
from tritoninit.checkpoint.write import FolderError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "checkpoint"
    checkpoint(folder)
    return folder


@pytest.fixture(scope="module")
def contents():
    return contents_of(mixed())


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "o")
    return tmp_path / "o"


def found(contents, folder):
    return list(verify(contents, folder, piece_bytes=PIECE))


def test_what_was_written_is_equal(contents, original):
    seen = []
    assert not list(verify(contents, original, seen.append))
    assert not list(verify(contents, original, piece_bytes=16))
    assert sum(seen) == contents.nbytes


def test_every_flipped_bit_is_found_and_named(contents, original, folder):
    choice = random.Random(0)
    values = stored_values(original)
    for _ in range(60):
        path = choice.choice(sorted(folder.glob("*.safetensors")))
        data = bytearray(path.read_bytes())
        place = choice.randrange(8 + int.from_bytes(data[:8], "little"), len(data))
        intact = bytes(data)
        data[place] ^= 1 << choice.randrange(8)
        path.write_bytes(data)
        (difference,) = found(contents, folder)
        name, index = difference.name, difference.index
        expected, there = values[name][index], load_file(path)[name][index]
        assert difference.elements == 1
        for shown, value in ((difference.expected, expected), (difference.found, there)):
            number, bits = shown.split(" (")
            integer = value.reshape(1).contiguous().view(torch.uint8).tolist()
            assert int(bits[:-1], 16) == int.from_bytes(bytes(integer), "little")
            if value.is_floating_point() and not value.isnan():
                assert float(number) == pytest.approx(value.item(), rel=1e-8)
            else:
                assert number == str(value.item())
        assert f"{name}: 1 element differs; the first at {list(index)} is" in str(difference)
        path.write_bytes(intact)
    assert not found(contents, folder)


def test_the_first_of_several_is_named_and_all_are_counted(contents, folder):
    path = next(p for p in folder.glob("*.safetensors") if "sparse" in load_file(p))
    tensors = load_file(path)
    tensors["sparse"][3, 2:5] += 1
    tensors["brain"][2] = float("nan")
    save_file(tensors, path)
    differences = {d.name: d for d in found(contents, folder)}
    assert differences["sparse"].index == (3, 2)
    assert differences["sparse"].elements == 3
    assert differences["brain"].index == (2, 0, 0)
    assert differences["brain"].elements == 20
    assert differences["brain"].found.startswith("nan (0x7fc0")


def test_another_seed_differs_and_the_files_say_so(original):
    differences = found(contents_of(mixed(), 1), original)
    assert {d.name for d in differences} >= {"turned", "brain", "orthogonal", "sparse", "scale"}
    assert "steps" not in {d.name for d in differences}
    assert stated_metadata(original)["seed"] == "0"


def test_any_division_into_files_and_any_name_of_a_tie_will_do(contents, original, tmp_path):
    values = stored_values(original)
    values["head.weight"] = values.pop("embedding.weight")
    save_file(values, tmp_path / "model.safetensors")
    assert not found(contents, tmp_path)
    values["embedding.weight"] = values["head.weight"] + 1
    save_file(values, tmp_path / "model.safetensors")
    (difference,) = found(contents, tmp_path)
    assert (difference.name, difference.index) == ("embedding.weight", (0, 0))


def test_missing_unexpected_and_other_geometry(contents, original, tmp_path):
    values = stored_values(original)
    del values["steps"]
    values["extra"] = torch.zeros(2)
    values["brain"] = values["brain"].float()
    values["wide"] = values["wide"].reshape(1, 11)
    save_file(values, tmp_path / "model.safetensors")
    assert {str(d) for d in found(contents, tmp_path)} == {
        "steps: missing",
        "extra: not part of the model, but in model.safetensors",
        "brain: dtype is float32, expected bfloat16",
        "wide: shape is [1, 11], expected [11]",
    }


def test_broken_and_missing_files(contents, folder):
    first, second, third = sorted(folder.glob("*.safetensors"))
    names = {name for path in (first, second, third) for name in load_file(path)}
    first.write_bytes(first.read_bytes()[:-3])
    second.unlink()
    third.write_bytes(b"{}")
    problems = {d.name: d.problem for d in found(contents, folder)}
    assert "its head describes" in problems.pop(first.name)
    assert problems.pop(second.name) == "the file is missing"
    assert "is no safetensors file" in problems.pop(third.name)
    assert problems == dict.fromkeys(names, "missing")


def test_the_index_decides_which_file_counts(contents, folder):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    del index["weight_map"]["steps"]
    path.write_text(json.dumps(index))
    problems = {d.name: d.problem for d in found(contents, folder) if d.problem != "missing"}
    assert "but not according to model.safetensors.index.json" in problems["steps"]
    path.write_text("[]")
    with pytest.raises(FolderError, match="is no index"):
        found(contents, folder)
    path.unlink()
    with pytest.raises(FolderError, match=r"holds neither model\.safetensors nor"):
        found(contents, folder)


def test_unravelled():
    whole = torch.arange(24).reshape(2, 3, 4)
    for index in range(24):
        assert whole[unravelled(index, (2, 3, 4))] == index
    assert unravelled(0, ()) == ()
