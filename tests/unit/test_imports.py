"""Imports run one way, and ``import tritoninit`` stays cheap."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARE = 0.1  # of what importing torch takes
OPTIONAL = {
    *("triton", "numba", "llvmlite", "transformers", "safetensors"),
    *("tqdm", "rich", "matplotlib", "scipy", "mpmath"),
}

# A module may import modules of its own layer and of the layers above it in this table.
LAYERS = [
    {"stream", "region", "sharding", "names", "digest", "collector"},
    {"arith", "coefficients", "philox", "special", "recipe", "sampling", "sampling64", "sparse"},
    {"truncated", "keys"},
    {"sampler"},
    {"backends"},
    {"orthogonal", "layout", "dtensor", "generator", "oracle", "plan"},
    {"ready", "small", "fill", "launched", "batch"},
    {"viewing", "evaluate", "writing", "schedule"},
    {"init"},
    {"fsdp2", "patching", "ranks"},
    {"memory", "recording", "fingerprint"},
    {"progress"},
    {"materialize"},
    {"simulate"},
    {"adapters"},
    {"checkpoint"},
    {"demo_model", "cli"},
]
WITHOUT_TORCH = set().union(*LAYERS[:3]) | {"plan"}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """The absolute name of every module that a file imports, wherever in the file."""
    package = (
        module_name(path) if path.name == "__init__.py" else module_name(path.parent / "x")[:-2]
    )
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                upward = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*upward, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer(name):
    """The index of a tritoninit module's layer; None for the package itself."""
    top = name.split(".")[1] if "." in name else None
    return next((index for index, names in enumerate(LAYERS) if top in names), None)


SOURCES = sorted((ROOT / "tritoninit").rglob("*.py"))


def test_every_module_has_a_layer():
    named = {path.relative_to(ROOT / "tritoninit").parts[0].removesuffix(".py") for path in SOURCES}
    assert named - {"__init__"} <= set().union(*LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_run_one_way(path):
    own = layer(module_name(path))
    for name in imported(path):
        other = layer(name) if name.startswith("tritoninit.") else None
        if own is not None and other is not None:
            assert other <= own, f"{module_name(path)} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_the_triton_backends_import_the_kernels(path):
    kernels = [n for n in imported(path) if re.match(r"(tritoninit\.)?kernels\b|triton\b", n)]
    assert bool(kernels) == module_name(path).startswith("tritoninit.backends.triton_")


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").glob("*.py")), ids=module_name)
def test_the_kernels_import_triton_and_each_other_only(path):
    for name in imported(path):
        own = name.startswith(("kernels.", "tritoninit.kernels"))
        assert own or name.split(".")[0] in {"triton", "__future__"}, name


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_the_stream_and_the_plan_know_nothing_of_torch(path):
    if module_name(path).split(".")[-1] in WITHOUT_TORCH and path.parent.name == "tritoninit":
        assert not [name for name in imported(path) if name.split(".")[0] == "torch"]


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout, done.stderr


def test_importing_loads_no_optional_dependency():
    code = (
        "import sys, torch; had = set(sys.modules); import tritoninit;"
        " print(*set(sys.modules) - had)"
    )
    loaded = {name.split(".")[0] for name in run("-c", code)[0].split()}
    assert "tritoninit" in loaded
    assert not loaded & OPTIONAL


def test_importing_adds_little_to_torchs_own_import():
    """In processor time, of which other processes take nothing; a slow machine is slow for both."""
    code = (
        "from time import process_time as now; start = now(); import torch; between = now();"
        " import tritoninit; print((now() - between) / (between - start))"
    )
    assert min(float(run("-c", code)[0]) for _ in range(5)) < SHARE
