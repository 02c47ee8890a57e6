"""What is installed: every package, the kernels under tritoninit, nothing beside it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"tritoninit": ROOT / "tritoninit", "tritoninit.kernels": ROOT / "kernels"}


def packages_on_disk() -> set[str]:
    """Every folder of sources, by the name it is installed under."""
    found = set()
    for name, folder in SOURCES.items():
        for source in folder.rglob("*.py"):
            found.add(".".join((name, *source.parent.relative_to(folder).parts)))
    return found


def test_pyproject_lists_every_package() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(configuration["tool"]["setuptools"]["packages"]) == packages_on_disk()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("tritoninit", "kernels"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", "dist", "."]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_source_file(wheel: set[str]) -> None:
    expected = {
        f"{name.replace('.', '/')}/{source.relative_to(folder).as_posix()}"
        for name, folder in SOURCES.items()
        for source in folder.rglob("*.py")
    }
    assert expected <= wheel
    assert {"tritoninit/py.typed", "tritoninit/STREAM.md"} <= wheel


def test_wheel_owns_one_top_level_package(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tritoninit"}
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_kernels_are_not_a_package_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.delitem(sys.modules, "kernels", raising=False)
    with pytest.raises(ImportError, match=r"tritoninit\.kernels"):
        importlib.import_module("kernels")


def test_import_loads_neither_triton_nor_numba() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import tritoninit;"
        " print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in run.stdout.split()}
    assert "tritoninit" in roots
    assert not roots & {"triton", "numba", "transformers", "safetensors"}
