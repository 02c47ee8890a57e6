"""What the fork server does once for all ranks: load the compiled kernels, on one thread."""

import torch

import tritoninit
from tests.distributed.models import Net, on_meta

torch.set_num_threads(1)  # a process with other threads must not fork
tritoninit.materialize(on_meta(Net), device="cpu")
torch.optim.AdamW([torch.zeros(1)])
