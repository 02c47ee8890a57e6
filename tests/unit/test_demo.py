"""The demo on a model small enough for a test, and that its check can fail."""

import json

import pytest
import torch

import tritoninit
from tritoninit import materialize
from tritoninit.cli import demo, main
from tritoninit.demo_model import build, inverse_frequencies
from tritoninit.oracle import element
from tritoninit.recipe import Normal, TruncNormal, Uniform
from tritoninit.sampler import DType

SMALL = ["demo", "--device", "cpu", "--dim", "64", "--layers", "3"]


def test_the_demo_prints_the_plan_the_times_and_the_check(capsys):
    assert main([*SMALL, "--seed", "2"]) == 0
    out = capsys.readouterr().out
    model = build(64, 3, True, torch.float32)
    plan = tritoninit.plan(model, 2)
    assert plan.totals() in out
    assert "embedding.weight = head.weight" in out
    assert "layers.0.attention.wq.weight  (x 2 more)" in out
    assert "layers.1." not in out
    assert "sampled elements equal the oracle, bit for bit." in out
    assert "GB/s" in out


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_demo_as_json(dtype, capsys):
    assert main([*SMALL, "--json", "--untied", "--dtype", dtype]) == 0
    result = json.loads(capsys.readouterr().out)
    plan = tritoninit.plan(build(64, 3, False, demo.DTYPES[dtype]))
    assert result["elements"] == plan.numel
    assert result["bytes"] == plan.nbytes
    assert result["dtype"] == dtype
    assert result["equal"] == result["sampled"] > 250
    assert result["gb_per_s"] == pytest.approx(plan.nbytes / result["seconds"] / 1e9)


def test_a_wrong_element_fails_the_demo_and_no_speed_is_printed(monkeypatch, capsys):
    def broken(model, *args, **kwargs):
        made = materialize(model, *args, **kwargs)
        with torch.no_grad():
            model.layers[0].attention.wq.weight[0, 0] += 2.0**-20
        return made

    monkeypatch.setattr(demo, "materialize", broken)
    assert main(SMALL) == 1
    captured = capsys.readouterr()
    assert "differ from the oracle; the first is element 0 of layers.0" in captured.err
    assert "GB/s" not in captured.out


@pytest.mark.parametrize("options", [["--dim", "100"], ["--dim", "0"], ["--layers", "0"]])
def test_bad_sizes_are_refused(options, capsys):
    assert main(["demo", *options]) == 2
    assert "--dim must be a positive multiple of 64 and --layers" in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as done:
        main(["demo", "--help"])
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert "tritoninit demo --device cpu --dtype bfloat16 --seed 1" in out


RECIPES = [Uniform(-0.5, 2.0), Normal(1.0, 0.02), TruncNormal(0.0, 0.02, -0.06, 0.06)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_oracle_elements_are_those_of_a_filled_tensor(recipe, dtype):
    key = tritoninit.Key(9).fold_in("oracle")
    name = {Uniform: "uniform_", Normal: "normal_", TruncNormal: "trunc_normal_"}[type(recipe)]
    arguments = [getattr(recipe, field) for field in type(recipe).__dataclass_fields__]
    tensor = torch.empty(11, 3, dtype=getattr(torch, dtype))
    getattr(tritoninit.init, name)(tensor, *arguments, generator=key)
    for index, value in enumerate(tensor.reshape(-1)):
        stored = element(recipe, key, index, (11, 3), DType(dtype))
        assert torch.from_numpy(stored).view(tensor.dtype).item() == value.item()


def test_the_rotary_frequencies_fall_from_one():
    frequencies = inverse_frequencies()
    assert frequencies.shape == (32,)
    assert frequencies[0] == 1
    assert frequencies[16].item() == pytest.approx(500000.0**-0.5)
