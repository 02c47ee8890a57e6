"""No test passes or fails by chance: what is random is the same in every run and any order.

A test that compares samples with a law states its level beside its fixed seed; at what
probability a right sampler would have failed it then says how much the result means.
"""

import importlib.util
import sys

import pytest
import torch

# transformers would take the repository's folder of this name for the package `kernels`.
sys.modules.setdefault("kernels", None)

if importlib.util.find_spec("hypothesis"):  # absent where the conformance tests run on a GPU
    from hypothesis import settings

    # The examples follow from a test's code; a deadline would be a matter of the machine's load.
    settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
    settings.load_profile("fixed")

SEED = 20261124


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Torch's default generator begins every test in one state, fixtures included."""
    torch.manual_seed(SEED)
