"""The benchmarks' own parts: sizes, budgets, what is left out, and the rendered page."""

import json
import subprocess
import sys

import pytest
import torch

from benchmarks import bench_models, bench_single, common, models, render
from benchmarks.timing import Contestant, interleave, runnable

CPU = torch.device("cpu")
PUBLISHED = {  # parameters
    "Llama 3 8B": 8_030_261_248,
    "Mixtral 8x7B": 46_702_792_704,
    "ResNet-50": 25_557_032,
}
TIME = {"median_s": 2e-3, "min_s": 1e-3, "q1_s": 1.5e-3, "q3_s": 3e-3, "rounds": 3, "loops": 1}
FACTS = common.environment(CPU)


@pytest.mark.parametrize("workload", models.WORKLOADS[:3], ids=lambda w: w.name)
def test_models_have_the_published_sizes(workload):
    model = workload.sizes.build(torch.bfloat16)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[workload.name]


def test_a_gpu_takes_as_many_layers_as_fit():
    workload = models.WORKLOADS[1]
    half = models.nbytes(workload.sizes, workload.dtype) // 2
    scaled = workload.scaled("cuda", half)
    more = models.replace(scaled.sizes, layers=scaled.sizes.layers + 1)
    assert models.nbytes(scaled.sizes, workload.dtype) <= half
    assert models.nbytes(more, workload.dtype) > half
    assert workload.scaled("cuda", 3 * half) == workload


def test_every_way_to_initialise_a_model_writes_all_of_it():
    model = bench_models.TINY[0].build(torch.float32)
    for work in (
        lambda m: bench_models.loop(m, CPU, torch.nn.init),
        lambda m: bench_models.filled(m, CPU),
    ):
        held = bench_models.Held(model)
        contestant = held.contestant("one", work)
        contestant.prepare()
        assert all(p.is_meta for p in model.parameters())
        contestant.call()
        assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_what_does_not_fit_is_named_and_not_timed():
    def exhausted():
        raise torch.OutOfMemoryError("no room")

    skipped = {}
    contestants = [Contestant("fits", lambda: None), Contestant("large", exhausted)]
    found = runnable(contestants, skipped, "normal_ 2^40")
    assert [c.name for c in found] == ["fits"]
    assert skipped == {"large, normal_ 2^40": "out of memory"}
    assert interleave(found, CPU, quick=True).keys() == {"fits"}


def test_cases_after_the_deadline_are_named(monkeypatch):
    now = 100.0
    monkeypatch.setattr(common.time, "monotonic", lambda: now)
    deadline, skipped = common.Deadline(5), {}
    assert not deadline.passed("first", skipped)
    now = 105.0
    assert deadline.passed("second", skipped)
    assert list(skipped) == ["second"]


def test_sizes_are_bounded_by_the_memory(monkeypatch):
    monkeypatch.setattr(common, "memory", lambda device: 2**24)
    options = common.parser("").parse_args([])
    options.sizes = None
    device = torch.device("cuda")
    assert max(bench_single.sizes_of(options, device, "float32")) == 2**20
    assert max(bench_single.sizes_of(options, device, "bfloat16")) == 2**20
    monkeypatch.setattr(common, "memory", lambda device: 2**37)
    assert max(bench_single.sizes_of(options, device, "float32")) == 2**32


def test_a_page_is_rendered_without_a_contestant_and_with_what_was_left_out(tmp_path):
    single = {"op": "normal_", "dtype": "float32", "shape": [64, 64]}
    timings = {"tritoninit": TIME, "fill_": TIME, "jax": TIME}
    write = {
        "single": [
            {**single, "timings": timings},
            {**single, "timings": {**timings, "torch.nn.init": TIME}},
        ],
        "threads": [{**single, "timings": {"1 threads": TIME, "2 threads": TIME}}],
        "launch": [{"op": "normal_", "timings": {"tritoninit": TIME}}],
        "models": [
            {
                "workload": "Llama 3 8B",
                "sizes": {"layers": 1},
                "dtype": "bfloat16",
                "tensors": 3,
                "elements": 12,
                "bytes": 24,
                "busy_s": {"to_empty, fill_": 1e-3},
                "timings": dict.fromkeys(("tritoninit.materialize", "plan"), TIME),
            }
        ],
    }
    for name, results in write.items():
        document = {"benchmark": name, "environment": FACTS, "quick": False, "results": results}
        document["not_timed"] = {"torch.nn.init, normal_": "out of memory"}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    run = [sys.executable, "-m", "benchmarks.render", str(tmp_path)]
    subprocess.run(run, cwd=common.ROOT, check=True)
    page = (tmp_path / "README.md").read_text()
    for title, _ in (render.TABLES[name] for name in write):
        assert f"## {title}" in page
    assert page.count("out of memory: torch.nn.init, normal_") == len(write)
    for chart in ("single.png", "models.png"):
        assert (f"({chart})" in page) == (tmp_path / chart).exists()
