"""Run a benchmark's CUDA branch without a GPU.

    python -m tests.rehearsal -m benchmarks.bench_single --quick

takes the arguments of an interpreter, so that a script of these two words can be the PYTHON of
``benchmarks/run``.
"""

from __future__ import annotations

import runpy
import sys

from tests.rehearsal.stand_in import install

GIB = 1 << 30


def main() -> None:
    how, what, *arguments = sys.argv[1:]
    sys.argv = [what, *arguments]
    install("NVIDIA H100 80GB HBM3, rehearsed", 78 * GIB)
    if how == "-c":
        exec(what, {"__name__": "__main__"})
    elif how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.exit(f"expected -m MODULE or -c CODE, got {how}")


if __name__ == "__main__":
    main()
