"""The benchmarks' own parts: sizes, budgets, what is left out, and the rendered page."""

import json
import math
import subprocess
import sys

import pytest
import torch

from benchmarks import bench_models, bench_single, cases, common, models, peers, render
from benchmarks.cases import Cases
from benchmarks.timing import Contestant, interleave, runnable

CPU = torch.device("cpu")
PUBLISHED = {  # parameters
    "Llama 3 8B": 8_030_261_248,
    "Mixtral 8x7B": 46_702_792_704,
    "ResNet-50": 25_557_032,
}
WORKLOADS = {workload.name: workload for workload in models.WORKLOADS}
TIME = {"median_s": 2e-3, "min_s": 1e-3, "q1_s": 1.5e-3, "q3_s": 3e-3, "rounds": 3, "loops": 1}
FACTS = common.environment(CPU)


@pytest.mark.parametrize("name", PUBLISHED)
def test_models_have_the_published_sizes(name):
    model = WORKLOADS[name].sizes.build(torch.bfloat16)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]


def test_a_gpu_takes_as_many_layers_as_fit():
    workload = WORKLOADS["Mixtral 8x7B"]
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


def test_a_contestant_that_fails_is_named_and_not_timed_unless_it_is_ours():
    def broken():
        raise ValueError("no such device. Its text\ngoes on")

    skipped = {}
    fits = Contestant("fits", lambda: None)
    assert runnable([fits, Contestant("broken", broken)], skipped, "normal_") == [fits]
    assert skipped == {"broken, normal_": "no such device"}
    with pytest.raises(ValueError, match="no such device"):
        runnable([Contestant("ours", broken), fits], {}, "normal_")


def run_of(folder, *arguments):
    """The cases of a benchmark that writes into a folder, and what its file holds."""
    path = folder / "single.json"
    options = common.parser("").parse_args(["--json", str(path), *arguments])
    return Cases("single", options, CPU), lambda: json.loads(path.read_text())


def test_a_case_that_fails_is_named_and_the_others_are_kept(tmp_path, capsys):
    def fails():
        raise RuntimeError("one wrong case\nat length")

    def exhausted():
        raise torch.OutOfMemoryError("no room")

    run, stored = run_of(tmp_path)
    run.run("first", lambda: ({"op": "normal_"}, "a line"))
    run.run("second", fails)
    assert stored()["results"] == [{"op": "normal_"}]
    assert stored()["failed"] == {"second": "one wrong case"}
    run.run("third", exhausted)
    run.run("fourth", lambda: ({"op": "eye_"}, "another line"))
    assert [row["op"] for row in stored()["results"]] == ["normal_", "eye_"]
    assert stored()["not_timed"] == {"third": "out of memory"}
    with pytest.raises(SystemExit, match="second: one wrong case"):
        run.conclude()
    printed = capsys.readouterr()
    assert "a line\nanother line\nnot timed: third: out of memory" in printed.out
    assert "in fails" in printed.err


def test_nothing_is_tried_on_a_device_that_has_failed(tmp_path):
    def fails():
        raise torch.AcceleratorError("an illegal memory access")

    run, stored = run_of(tmp_path)
    run.run("first", fails)
    run.run("second", lambda: ({}, ""))
    assert stored()["not_timed"] == {"second": "the device had failed"}


def test_cases_after_the_seconds_are_named(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(cases.time, "monotonic", lambda: now)
    run, stored = run_of(tmp_path, "--seconds", "5")
    run.run("first", lambda: ({}, ""))
    now = 105.0
    run.run("second", lambda: ({}, ""))
    assert list(stored()["not_timed"]) == ["second"]
    assert len(stored()["results"]) == 1
    run.conclude()


def test_peers_that_cannot_draw_are_named():
    skipped = {}
    large = torch.empty(2 * peers.JAX_MOST, device="meta")
    found = {peer.name for peer in peers.contestants("normal_", large, skipped)}
    assert "float32 on the CPU only" in skipped["numpy, float32 on meta"]
    assert f"more than {peers.JAX_MOST} elements" in skipped["jax, float32 on meta"]
    assert found | {name.partition(",")[0] for name in skipped} == set(peers.PEERS)


def test_a_jax_that_crashes_beside_torch_is_found_once(monkeypatch):
    runs = []

    def crashes(command, **_):
        runs.append(command)
        return subprocess.CompletedProcess(command, -11, "", "some words\nSegmentation fault\n")

    monkeypatch.setattr(peers.subprocess, "run", crashes)
    peers._fault_of_jax.cache_clear()
    try:
        for _ in range(2):
            fault = peers._fault_of_jax()
            assert fault == "ended with -11 beside torch: Segmentation fault"
        assert len(runs) == 1
    finally:
        peers._fault_of_jax.cache_clear()


def test_sizes_are_bounded_by_the_memory(monkeypatch):
    monkeypatch.setattr(common, "memory", lambda device: 2**24)
    options = common.parser("").parse_args([])
    options.sizes = None
    device = torch.device("cuda")
    assert max(bench_single.sizes_of(options, device, "float32")) == 2**20
    assert max(bench_single.sizes_of(options, device, "bfloat16")) == 2**20
    monkeypatch.setattr(common, "memory", lambda device: 2**37)
    assert max(bench_single.sizes_of(options, device, "float32")) == 2**32


@pytest.mark.parametrize("gib", [78, 139])
def test_a_gpu_times_first_what_its_targets_are_read_off(gib, monkeypatch):
    monkeypatch.setattr(common, "memory", lambda device: gib << 30)
    options = common.parser("").parse_args([])
    options.sizes, options.dtypes = None, list(bench_single.DTYPES)
    todo = bench_single.cases(options, torch.device("cuda"))
    count = sum(map(bench_single.is_wanted_first, todo))
    first = [str(case) for case in todo[:count]]
    assert all(map(bench_single.is_wanted_first, todo[:count]))
    for case in ("normal_ float32 32768x32768", "trunc_normal_ bfloat16 32768x32768"):
        assert case in first
    for case in ("sparse_ float32 4096x4096", "dirac_ float32 512x512x3x3"):
        assert case in first
    sizes = [math.prod(c.shape) * bench_single.DTYPES[c.dtype].itemsize for c in todo]
    assert max(sizes) == 16 << 30  # and three times as much beside it, of 78 GiB
    assert len(set(map(str, todo))) == len(todo)


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


def test_every_committed_result_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "draw", lambda document, image: False)
    paths = sorted((common.ROOT / "benchmarks" / "results").glob("*/*.json"))
    documents = {path: json.loads(path.read_text()) for path in paths}
    kinds = {}
    for path, document in documents.items():
        if document.get("benchmark") in render.TABLES:
            kinds[document["benchmark"]] = render.section(tmp_path / path.name, document)
    for kind, section in kinds.items():
        assert f"## {render.TABLES[kind][0]}" in section
        assert "| " in section or "\n- " in section, kind
    assert {"single", "models", "model", "checkpoint", "plan", "import"} <= kinds.keys()
