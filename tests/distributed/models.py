"""A model that uses every initializer, and every way of writing a part of a tensor."""

import torch
from torch import nn
from torch.distributed.tensor import Shard

WIDTH = 24
INITIALIZERS = {
    "uniform_": ((7, 5), {}),
    "normal_": ((5, 6), {"std": 0.02}),
    "trunc_normal_": ((9, 4), {"std": 0.5, "a": -0.7, "b": 1.0}),
    "constant_": ((3, 5), {"val": 1.5}),
    "ones_": ((6,), {}),
    "zeros_": ((2, 2), {}),
    "eye_": ((6, 9), {}),
    "dirac_": ((10, 3, 3), {"groups": 2}),
    "xavier_uniform_": ((7, 4, 2), {"gain": 2.0}),
    "xavier_normal_": ((4, 11), {}),
    "kaiming_uniform_": ((13, 3), {"a": 5**0.5}),
    "kaiming_normal_": ((8, 6), {"mode": "fan_out", "nonlinearity": "relu"}),
    "orthogonal_": ((10, 7), {"gain": 0.5}),
    "sparse_": ((30, 6), {"sparsity": 0.3}),
}


def frozen(*shape, **options):
    """FSDP2 steps parameters of one dtype only; those of others need no gradient."""
    return nn.Parameter(torch.empty(shape, **options), requires_grad=False)


class Zoo(nn.Module):
    """One parameter an initializer, and writes through views, ``.data``, copies and chains."""

    def __init__(self):
        super().__init__()
        for name, (shape, _) in INITIALIZERS.items():
            self.register_parameter(f"p_{name}", nn.Parameter(torch.empty(shape)))
        self.scalar = nn.Parameter(torch.empty(1))
        self.rows = nn.Parameter(torch.empty(7, WIDTH))
        self.chunks = nn.Parameter(torch.empty(12, 4))
        self.transposed = nn.Parameter(torch.empty(9, 14))
        self.chained = nn.Parameter(torch.empty(6, 5))
        self.lower = nn.Parameter(torch.empty(8, 8))
        self.copied = nn.Parameter(torch.empty(6, 3))
        self.wide = frozen(5, 3, dtype=torch.float64)
        self.narrow = frozen(7, 9, dtype=torch.bfloat16)
        self.frozen = frozen(5)
        self.register_buffer("position", torch.empty(12))
        self.register_buffer("frequency", torch.empty(6), persistent=False)

    @torch.no_grad()
    def reset_parameters(self):
        for name, (_, arguments) in INITIALIZERS.items():
            getattr(nn.init, name)(getattr(self, f"p_{name}"), **arguments)
        self.scalar.data.normal_(1, 0.1)
        nn.init.trunc_normal_(self.rows, std=0.02)
        self.rows[3].zero_()
        self.rows[:, 2:4].fill_(1)
        self.rows[1::2, 5::3].uniform_(-1, 1)
        for chunk in self.chunks.chunk(3):
            nn.init.orthogonal_(chunk)
        nn.init.kaiming_uniform_(self.transposed.t(), a=1)
        self.transposed.data[:, 3] = 0.25
        self.chained.normal_().mul_(0.5).add_(1).clamp_(0.2, 1.9)
        self.lower.uniform_().tril_()
        self.copied.copy_(torch.arange(18.0).view(6, 3).sin())
        nn.init.normal_(self.wide)
        nn.init.normal_(self.narrow, std=0.02)
        self.frozen.fill_(0.5)
        self.position.copy_(torch.arange(12.0))
        self.frequency.copy_(1.0 / 10000 ** (torch.arange(6.0) / 6))

    def forward(self):
        return sum(p.float().square().mean() for p in self.parameters()) + self.position.sum()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Net(nn.Module):
    """Tied embeddings with a padding row, blocks, and the zoo."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, WIDTH, padding_idx=3)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.zoo = Zoo()
        self.head = nn.Linear(WIDTH, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x).square().mean() + self.zoo()


class Experts(nn.Module):
    """Grouped weights, one slice an expert."""

    def __init__(self):
        super().__init__()
        self.up = nn.Parameter(torch.empty(4, WIDTH, 10))
        self.down = nn.Parameter(torch.empty(4, 10, WIDTH))

    @torch.no_grad()
    def reset_parameters(self):
        nn.init.normal_(self.up, std=0.02)
        for expert in self.down:
            nn.init.orthogonal_(expert)


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, 4)
        self.experts = Experts()


def on_meta(build):
    with torch.device("meta"):
        return build()


def values(model):
    """Every parameter and buffer by every name, tied or not, persistent or not."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    return parameters | dict(model.named_buffers(remove_duplicate=False))


def cut(tensor, mesh, placements, at):
    """A rank's part, as torch.chunk cuts it along one mesh dimension after the other."""
    for size, placement, index in zip(mesh, placements, at, strict=True):
        if isinstance(placement, Shard):
            pieces = tensor.chunk(size, placement.dim)
            empty = tensor.narrow(placement.dim, 0, 0)
            tensor = pieces[index] if index < len(pieces) else empty
    return tensor
