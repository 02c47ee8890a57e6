"""The table of targets: what it reads off the results, and what it says where there are none."""

import re

import pytest

from benchmarks import bench_orthogonal, bench_single, targets

LLAMA = {"elements": 8_000_000_000, "workload": "Llama 3 8B"}


def timings(**seconds):
    return {name: {"median_s": value} for name, value in seconds.items()}


def documents(name="NVIDIA H200", device="cuda"):
    facts = {"device": device, "gpu": {"name": name}}
    single = [
        ("normal_", "bfloat16", [1, 1024], {"tritoninit": 1e-6, "jax": 5e-7}),
        ("normal_", "bfloat16", [32768, 32768], {"tritoninit": 1e-3, "jax": 4e-3}),
        ("uniform_", "float32", [32768, 32768], {"tritoninit": 1e-3, "fill_": 9.6e-4}),
        ("uniform_", "float32", [65536, 65536], {"tritoninit": 4e-3}),
        ("dirac_", "float32", [512, 512, 3, 3], {"tritoninit": 1e-4, "torch.nn.init": 4e-3}),
    ]
    rows = [
        {"op": op, "dtype": dtype, "shape": shape, "timings": timings(**seconds)}
        for op, dtype, shape, seconds in single
    ]
    model = timings(**{"tritoninit.materialize": 9e-3, "to_empty, torch.nn.init": 0.045})
    return {
        "single": {"environment": facts, "results": rows},
        "models": {
            "environment": facts,
            "results": [{**LLAMA, "busy_s": {}, "timings": model | timings(plan=1e-3)}],
        },
    }


def line(what, found):
    """The cells of a target's row behind its name."""
    (cells,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", targets.summary(found), re.M)
    return cells.split(" | ")


@pytest.mark.parametrize(
    ("what", "reached", "met"),
    [
        ("normal_ bfloat16", "1.07 T/s", "yes"),
        ("uniform_ float32 of fill_'s bandwidth", "96%", "yes"),
        ("dirac_ 512x512x3x3, torch.nn.init", "40x", "**no**"),
        ("jax, every line", "0.5x", "**no**"),
        ("Llama 3 8B over normal_ of as many elements", "1.21x", "yes"),
        ("Llama 3 8B, a loop of torch.nn.init", "5x", "yes"),
        ("orthogonal_ 4096x4096, torch.nn.init", "not measured", ""),
        ("normal_ float32 of fill_'s bandwidth", "not measured", ""),
    ],
)
def test_figures_and_whether_they_are_met(what, reached, met):
    assert line(what, documents())[1:3] == [reached, met]


def test_what_is_read_off_is_said():
    found = documents()
    assert line("jax, every line", found)[3] == (
        "ahead on 1 of 2 lines; the least on normal_ bfloat16 2^10"
    )
    assert line("Llama 3 8B, a loop of torch.nn.init", found)[3] == (
        "materialize's 9 ms, planning's 1 ms; the loop's 45 ms"
    )


def test_another_card_is_named():
    assert "Another card" not in targets.summary(documents())
    assert "H100 80GB HBM3. **Another card" in targets.summary(documents("NVIDIA H100 80GB HBM3"))
    assert targets.summary(documents(device="cpu")) == ""


def test_every_target_is_measured_by_a_benchmark():
    assert (4096, 4096) in bench_single.SHAPES["sparse_"]
    assert (512, 512, 3, 3) in bench_single.SHAPES["dirac_"]
    assert (4096, 4096) in bench_orthogonal.SHAPES
