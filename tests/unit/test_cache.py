"""Where compiled host kernels are kept: each place in its turn, across processes.

Places are made unwritable with files where folders would be, which stops root as well.
"""

import errno
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import torch

import tritoninit
from tritoninit.backends.numba_compile import ForgivingCache, compiled

PACKAGE = Path(tritoninit.__file__).parent
FILL = """
import sys
import torch
from numba.core.event import Listener, register
compiled = []

class Compilations(Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event):
        pass

register("numba:compile", Compilations())
from tritoninit import Key, init
import tritoninit
assert tritoninit.__file__.startswith(sys.argv[1]), tritoninit.__file__
values = init.normal_(torch.empty(3), generator=Key(1))
assert torch.equal(values, init.normal_(torch.empty(3), generator=Key(1)))
print(len(compiled), float(values.sum()))
"""


@pytest.fixture
def places(tmp_path):
    """A read-only install, and where else a cache could be; none of them is writable."""
    install = tmp_path / "install"
    shutil.copytree(PACKAGE, install / "tritoninit", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in filter(Path.is_dir, (install / "tritoninit").rglob("*")):
        (folder / "__pycache__").touch()
    (install / "tritoninit" / "__pycache__").touch()
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    return tmp_path


def run(places, **environment):
    """(Compilations, the sum of some values, what the log says) of a new process."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("NUMBA", "XDG", "TMP"))}
    kept |= {"PYTHONPATH": str(places / "install"), "PYTHONDONTWRITEBYTECODE": "1"}
    kept |= {"HOME": str(places / "home"), "TMPDIR": str(places / "temporary"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(places / "install")],
        env=kept,
        capture_output=True,
        text=True,
        cwd=places,
    )
    assert done.returncode == 0, done.stderr
    count, total = done.stdout.split()
    return int(count), total


def test_a_read_only_install_without_a_home_compiles_once(places):
    first, total = run(places)
    assert first > 0
    assert run(places) == (0, total)
    [folder] = (places / "temporary").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_users_cache_and_the_given_one_come_first(places):
    (places / "home").unlink()
    (places / "home").mkdir()
    assert run(places)[0] > 0
    assert run(places)[0] == 0
    assert run(places, NUMBA_CACHE_DIR=str(places / "given"))[0] > 0
    assert len(list((places / "given").rglob("*.nbi"))) > 0
    assert list((places / "temporary").iterdir()) == []


def test_a_folder_that_others_can_write_is_not_trusted(places):
    folder = places / "temporary" / f"tritoninit-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert run(places)[0] > 0
    assert list(folder.iterdir()) == []


def doubled(x):
    return 2 * x


@pytest.mark.parametrize(("kind", "size"), [("*.nbi", 0), ("*.nbi", 40), ("*.nbc", 0)])
def test_a_file_cut_short_costs_one_compilation(kind, size, tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def compilations():
        function = compiled(doubled)
        assert function(3) == 6
        return sum(function.stats.cache_misses.values())

    assert (compilations(), compilations()) == (1, 0)
    (file,) = tmp_path.rglob(kind)
    os.truncate(file, size)
    assert (compilations(), compilations()) == (1, 0)


def test_a_full_disk_stops_no_call(caplog):
    class Full:
        def save_overload(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

        def load_overload(self, *_):
            raise EOFError("Ran out of input")

        flush = save_overload

    function = ForgivingCache(Full())
    with caplog.at_level(logging.INFO, logger="tritoninit"):
        assert function.load_overload() is None
        function.save_overload()
    assert "Ran out of input" in caplog.text
    assert "No space left on device" in caplog.text


def test_where_numba_may_not_compile_the_numpy_path_is_taken():
    code = (
        "import torch; from tritoninit import Key, init; from tritoninit.backends import"
        " host_backend; print(float(init.normal_(torch.empty(3), generator=Key(1)).sum()),"
        " host_backend().name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    expected = float(tritoninit.init.normal_(torch.empty(3), generator=tritoninit.Key(1)).sum())
    assert done.stdout.split() == [str(expected), "numpy"]
    assert "NUMBA_DISABLE_JIT is set" in done.stderr
