"""Exit with a message unless this interpreter can run `make gpu-check` without a download."""

from __future__ import annotations

import importlib.metadata
import sys

NEEDED = ("torch", "triton", "numpy", "numba", "pytest", "setuptools")
SETUPTOOLS = 77  # the first that reads pyproject's licence expression


def main() -> None:
    """Name everything that is missing at once."""
    missing = []
    for package in NEEDED:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
            continue
        print(f"{package} {version}")
        if package == "setuptools" and int(version.partition(".")[0]) < SETUPTOOLS:
            missing.append(f"setuptools >= {SETUPTOOLS} (here: {version})")
    if missing:
        sys.exit(f"{sys.executable} lacks {', '.join(missing)}")
    import torch

    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device: gpu-check needs one (make test runs without)")
    print(torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
