"""Small models whose tensors are of few kinds, as those of large ones are."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class Expert(nn.Module):
    """A gated feed-forward network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = (nn.Linear(dim, dim, bias=False) for _ in range(3))

    def reset_parameters(self) -> None:
        for linear in (self.w1, self.w2, self.w3):
            nn.init.trunc_normal_(linear.weight, std=0.02, a=-0.06, b=0.06)


class Decoder(nn.Module):
    """Llama's kinds, with experts: normals, truncated normals, ones, a padding row of zeros."""

    def __init__(self, dim: int = 24, layers: int = 2, experts: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, dim, padding_idx=7)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            layer = nn.Module()
            layer.norm = nn.RMSNorm(dim)
            layer.qkv = nn.Linear(dim, 3 * dim)
            layer.router = nn.Linear(dim, experts, bias=False)
            layer.experts = nn.ModuleList(Expert(dim) for _ in range(experts))
            self.layers.append(layer)

    def reset_parameters(self) -> None:
        for layer in self.layers:
            nn.init.normal_(layer.qkv.weight, std=0.02)
            nn.init.zeros_(layer.qkv.bias)
            nn.init.normal_(layer.router.weight, std=0.006)


class Residual(nn.Module):
    """ResNet's kinds: normals of many widths, ones and zeros, integers, deltas, an identity."""

    def __init__(self, widths: tuple[int, ...] = (3, 5, 8, 13)) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for before, after in pairwise(widths):
            self.convolutions.append(nn.Conv2d(before, after, 3, bias=False))
            self.norms.append(nn.BatchNorm2d(after))
        self.delta = nn.ModuleList(nn.Conv2d(width, width, 3) for width in widths)
        self.identity = nn.ModuleList(nn.Linear(width, width) for width in widths)
        self.head = nn.Linear(widths[-1], 17)

    def reset_parameters(self) -> None:
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        for convolution in self.delta:
            nn.init.dirac_(convolution.weight)
            nn.init.zeros_(convolution.bias)
        for linear in self.identity:
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)


def build(kind: type[nn.Module], dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model on meta."""
    with torch.device("meta"):
        return kind().to(dtype)
