"""The command line: what it prints, its exit codes, and errors without tracebacks."""

import json
import os
import subprocess
import sys

import pytest
import torch

import tritoninit
from tests.unit.stored import Mixed, stored_values
from tritoninit.cli import commands, main
from tritoninit.plan import Plan

SPEC = "tests.unit.stored:Mixed"
VERSION = tritoninit.STREAM_VERSION


@pytest.fixture
def out(tmp_path, capsys):
    """The folder of a checkpoint of seed 2."""
    assert main(["init", SPEC, "--out", str(tmp_path / "out"), "--seed", "2"]) == 0
    capsys.readouterr()
    return tmp_path / "out"


def flip(folder, name):
    """Add one to the last byte of a tensor's second element."""
    from tritoninit.adapters.safetensors import read_head

    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    entry = read_head(path).entries[name]
    data[entry.begin + 7] ^= 1
    path.write_bytes(data)


def recorded():
    with tritoninit.record():
        return Mixed()


def test_plan_prints_the_table(capsys):
    assert main(["plan", SPEC, "--seed", "2"]) == 0
    assert capsys.readouterr().out == f"{tritoninit.plan(recorded(), 2)}\n"


def test_a_tied_weight_holds_what_the_constructor_left_in_it():
    """The embedding's values, as on the CPU; replayed alone, the head's init code comes last."""
    (embedding,) = [f for f in tritoninit.plan(recorded()).fills if "embedding" in f.name]
    assert embedding.recipe.startswith("normal(mean=0, std=1), constant(value=0)")


def test_plan_as_json_is_read_back(capsys):
    assert main(["plan", SPEC, "--seed", "-1", "--json"]) == 0
    assert not Plan.from_json(capsys.readouterr().out).diff(tritoninit.plan(recorded(), -1))


def test_plan_on_a_terminal_is_a_table_of_rich(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["plan", SPEC]) == 0
    shown = capsys.readouterr().out
    assert "─" in shown
    assert "[3, 4, 5]" in shown
    assert "trunc_normal" not in shown
    assert "truncnormal(mean=0, std=0.02" in shown


def test_plan_draws(tmp_path, capsys):
    picture = tmp_path / "spectrum.png"
    assert main(["plan", SPEC, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "embedding.weight = head.weight" in capsys.readouterr().out
    assert main(["plan", SPEC, "--plot", str(tmp_path / "spectrum.abc")]) == 1
    assert "tritoninit plan: Format 'abc' is not supported" in capsys.readouterr().err


def test_plan_without_matplotlib_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plan", SPEC, "--plot", str(tmp_path / "a.png")]) == 2
    assert "--plot needs matplotlib" in capsys.readouterr().err


def test_init_says_what_it_wrote(tmp_path, capsys):
    command = ["init", SPEC, "--out", str(tmp_path / "o"), "--max-shard-size", "1KB"]
    assert main(command) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("18 tensors, 530 elements, 1.99 KiB ")
    assert " in 4 files, " in first
    assert first.endswith(f" s, in {tmp_path / 'o'}")
    assert second == f"seed 0, stream version {VERSION}"
    assert main(command) == 0
    assert "in 4 files, 4 of them complete before, " in capsys.readouterr().out


def test_init_as_json(tmp_path, capsys):
    command = ["init", SPEC, "--out", str(tmp_path / "o"), "--json", "--jobs", "1"]
    assert main([*command, "--dtype", "float16"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.pop("seconds") > 0
    values = stored_values(tmp_path / "o")
    assert result == {
        "out": str(tmp_path / "o"),
        "seed": 0,
        "stream_version": VERSION,
        "tensors": len(values),
        "elements": sum(value.numel() for value in values.values()),
        "bytes": sum(value.nbytes for value in values.values()),
        "files": ["model.safetensors"],
        "written": ["model.safetensors"],
        "kept": [],
    }
    assert values["turned"].dtype == values["wide"].dtype == torch.float16
    assert values["steps"].dtype == torch.float32
    assert main([*command, "--dtype", "float16"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == ["model.safetensors"]


def test_verify_says_that_all_is_equal(out, capsys):
    assert main(["verify", SPEC, str(out), "--seed", "2"]) == 0
    assert "elements, 1.99 KiB equal, bit for bit, " in capsys.readouterr().out
    assert main(["verify", SPEC, str(out), "--seed", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["equal"] is True
    assert result["differences"] == []
    assert result["tensors"] == 18


def test_verify_names_what_differs(out, capsys):
    flip(out, "turned")
    assert main(["verify", SPEC, str(out), "--seed", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first == "tritoninit verify: 1 difference, in 18 tensors"
    assert second.startswith("  turned: 1 element differs; the first at [0, 1] is ")
    assert main(["verify", SPEC, str(out), "--seed", "2", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["equal"] is False
    (difference,) = result["differences"]
    assert (difference["name"], difference["index"]) == ("turned", [0, 1])


def test_verify_with_another_seed_says_which_was_used(out, monkeypatch, capsys):
    assert main(["verify", SPEC, str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tritoninit verify: 9 differences, in 18 tensors"
    assert lines[1] == "the checkpoint says of itself that its seed is 2, not 0"
    assert len(lines) == 2 + 9
    monkeypatch.setattr(commands, "SHOWN", 5)
    assert main(["verify", SPEC, str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 + 5 + 1
    assert lines[-1] == "  and 4 more"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["plan", "tests.unit.stored:Nothing"], 2, "tests.unit.stored has no Nothing"),
        (["plan", "no-such-folder"], 2, "there is no file or folder 'no-such-folder'"),
        (["plan", SPEC, "--seed", str(2**64)], 2, "seed must lie in"),
        (["plan", "tests.unit.models:Incomplete"], 1, "weight (parameter of Incomplete"),
        (["init", "tests.unit.models:Incomplete", "--out", "o"], 1, "1 tensor has no recipe"),
        (["init", SPEC, "--out", "full"], 2, "belongs to another checkpoint"),
        (["init", SPEC, "--out", "file"], 2, "file cannot be a folder"),
        (["verify", SPEC, "no-such-folder"], 2, "there is no folder no-such-folder"),
        (["verify", SPEC, "."], 2, "holds neither model.safetensors nor"),
    ],
    ids=lambda value: None if isinstance(value, int) else " ".join(value)[:60],
)
def test_errors_are_one_message_and_a_status(
    arguments, status, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "model.safetensors").write_bytes(b"other")
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"tritoninit {arguments[0]}: ")
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["init", SPEC], "the following arguments are required: --out"),
        (["init", SPEC, "--out", "o", "--max-shard-size", "5XB"], "expected a size such as 5GB"),
        (["init", SPEC, "--out", "o", "--jobs", "0"], "expected an integer of at least 1, got 0"),
        (
            ["init", SPEC, "--out", "o", "--jobs", "two"],
            "expected an integer of at least 1, got two",
        ),
        (["init", SPEC, "--out", ""], "expected a folder, got ''"),
        (["verify", SPEC, ""], "expected a folder, got ''"),
        (["plan", SPEC, "--dtype", "int8"], "invalid choice: 'int8'"),
        (["nothing"], "invalid choice: 'nothing'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_arguments_are_errors_of_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert message in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(monkeypatch, tmp_path, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "write", interrupted)
    assert main(["init", SPEC, "--out", str(tmp_path)]) == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err


def test_an_error_of_the_models_own_code_has_its_place(capsys):
    assert main(["plan", "tests.unit.models:Failing"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("tritoninit plan: AttributeError: 'Failing' object has no attribute")
    assert "tests/unit/models.py:" in message
    if sys.version_info >= (3, 11):
        assert "; while tritoninit ran reset_parameters of the model (Failing)" in message


def test_a_reader_that_goes_away_is_no_error():
    arguments = ["plan", "tritoninit.demo_model:build"]
    code = f"import sys; from tritoninit.cli import main; sys.exit(main({arguments}))"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["plan", "init", "verify", "demo"])
def test_help_teaches_by_examples(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert capsys.readouterr().out.count(f"\n  tritoninit {command} ") >= 2
