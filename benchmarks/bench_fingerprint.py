"""The fingerprint of a tensor beside passes that only read it.

    python -m benchmarks.bench_fingerprint [--threads 1]

``sum`` is torch's own reduction of the same memory, ``hash_tensor`` its xor over the elements'
bits (torch 2.9), which swapped elements leave as it is.
"""

from __future__ import annotations

import sys
from functools import partial

import torch
from torch import Tensor

import tritoninit
from benchmarks import common
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, Timing, as_json, duration, interleave, runnable
from tritoninit.backends.digest import digest
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.digest import header
from tritoninit.region import Region

SIZES = {"cpu": (1 << 12, 1 << 20, 1 << 26), "cuda": (1 << 12, 1 << 20, 1 << 26, 1 << 30)}
QUICK_SIZES = (1 << 12, 1 << 20)
DTYPES = {"float32": torch.int32, "bfloat16": torch.int16}
CHECKED = (61, 4099)  # more than one program and one thread, and nothing divides it


def check(device: torch.device, dtype: str) -> None:
    """Exit where the device's number is not that of numpy's plain integers."""
    bits = torch.randint(-(2**15), 2**15, CHECKED, dtype=DTYPES[dtype])
    tensor = bits.view(getattr(torch, dtype)).to(device)
    key, total = header("", dtype, CHECKED)
    unsigned = bits.view(-1).numpy().view(f"u{bits.itemsize}")
    total += digest(NumpyBackend(), unsigned, Region.whole(CHECKED, (CHECKED[1], 1)), key, 1)
    if tritoninit.fingerprint(tensor) != str(total):
        sys.exit(f"the fingerprint in {dtype} on {device} is not numpy's, so nothing was timed")


def measure(
    tensor: Tensor, bits: Tensor, quick: bool, skipped: dict[str, str]
) -> dict[str, Timing]:
    """The timings of all passes over the same memory."""
    contestants = [
        Contestant("tritoninit.fingerprint", lambda: tritoninit.fingerprint(tensor)),
        Contestant("sum", lambda: tensor.sum()),
    ]
    if hasattr(torch, "hash_tensor"):
        contestants.append(Contestant("hash_tensor", lambda: torch.hash_tensor(bits)))
    where = f"{str(tensor.dtype).removeprefix('torch.')} {tensor.numel()}"
    return interleave(runnable(contestants, skipped, where), tensor.device, quick)


def timed(
    dtype: str, numel: int, device: torch.device, quick: bool, skipped: dict[str, str]
) -> tuple[Row, str]:
    """The row of a tensor, and its line on the terminal."""
    bits = torch.randint(-(2**15), 2**15, (numel,), dtype=DTYPES[dtype], device=device)
    bits &= 0x3FFF  # finite numbers
    tensor = bits.view(getattr(torch, dtype))
    timings = measure(tensor, bits, quick, skipped)
    nbytes = numel * tensor.itemsize
    columns = (
        f"{name} {duration(t.median_s)} ({nbytes / t.median_s / 1e9:.3g} GB/s)"
        for name, t in timings.items()
    )
    row = {"dtype": dtype, "shape": [numel], "timings": as_json(timings)}
    return row, "  ".join((f"{dtype:9} 2^{numel.bit_length() - 1:<3}", *columns))


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("The fingerprint beside read-only passes").parse_args()
    device = common.apply(options)
    run = Cases("fingerprint", options, device)
    for dtype in DTYPES:
        check(device, dtype)
    run.announce()
    for dtype in DTYPES:
        for numel in QUICK_SIZES if options.quick else SIZES[device.type]:
            case = f"{dtype} 2^{numel.bit_length() - 1}"
            run.run(case, partial(timed, dtype, numel, device, options.quick, run.skipped))
    run.conclude()


if __name__ == "__main__":
    main()
