"""A Llama-style decoder, the model of ``tritoninit demo``: its modules and their init code.

Only what decides parameters, buffers and their initial values is here; there is no forward.
The initial values follow torchtitan's Llama 3: truncated normals of standard deviation 0.02, and
of 0.02 / sqrt(2 (layer + 1)) where a layer writes to the residual stream, with trunc_normal_'s
default bounds of -2 and 2; an untied head is cut off at 3 standard deviations.  The embedding,
which a tied head shares, has standard deviation 0.02.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HEAD = 64  # the size of an attention head
VOCABULARY = 32768
THETA = 500000.0  # the rotary base
CUTOFF = 3  # standard deviations, of an untied head
STD = 0.02


def inverse_frequencies() -> Tensor:
    """The rotary frequencies theta ** (-2 i / head), computed on the CPU."""
    steps = torch.arange(0, HEAD, 2, dtype=torch.float64, device="cpu")
    return (THETA ** (-steps / HEAD)).float()


class Attention(nn.Module):
    """Grouped-query attention's projections."""

    def __init__(self, dim: int, layer: int) -> None:
        super().__init__()
        heads = dim // HEAD
        groups = max(1, heads // 4) * HEAD
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, groups, bias=False)
        self.wv = nn.Linear(dim, groups, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)
        self.residual_std = STD / math.sqrt(2 * (layer + 1))

    def reset_parameters(self) -> None:
        """Truncated normals."""
        for linear in (self.wq, self.wk, self.wv):
            nn.init.trunc_normal_(linear.weight, std=STD)
        nn.init.trunc_normal_(self.wo.weight, std=self.residual_std)


class FeedForward(nn.Module):
    """SwiGLU's projections."""

    def __init__(self, dim: int, layer: int) -> None:
        super().__init__()
        hidden = -(-8 * dim // (3 * HEAD)) * HEAD
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.residual_std = STD / math.sqrt(2 * (layer + 1))

    def reset_parameters(self) -> None:
        """Truncated normals."""
        for linear in (self.w1, self.w3):
            nn.init.trunc_normal_(linear.weight, std=STD)
        nn.init.trunc_normal_(self.w2.weight, std=self.residual_std)


class Block(nn.Module):
    """A decoder layer."""

    def __init__(self, dim: int, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(dim)
        self.attention = Attention(dim, layer)
        self.feed_forward_norm = nn.RMSNorm(dim)
        self.feed_forward = FeedForward(dim, layer)


class Rotary(nn.Module):
    """Rotary position embedding; its buffer stays float32 and is not saved."""

    inverse_frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        empty = torch.empty(HEAD // 2, dtype=torch.float32)
        self.register_buffer("inverse_frequencies", empty, persistent=False)

    def reset_parameters(self) -> None:
        """A copy of values computed on the CPU."""
        self.inverse_frequencies.copy_(inverse_frequencies())


class Llama(nn.Module):
    """A decoder of ``layers`` layers of width ``dim``, with a tied or an untied head."""

    def __init__(self, dim: int, layers: int, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, dim)
        self.rotary = Rotary()
        self.layers = nn.ModuleList(Block(dim, layer) for layer in range(layers))
        self.norm = nn.RMSNorm(dim)
        self.head = nn.Linear(dim, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def reset_parameters(self) -> None:
        """The embedding normal, the head truncated where it is a tensor of its own."""
        nn.init.normal_(self.embedding.weight, std=STD)
        if self.head.weight is not self.embedding.weight:
            std = self.head.in_features**-0.5
            nn.init.trunc_normal_(self.head.weight, std=std, a=-CUTOFF * std, b=CUTOFF * std)


def build(
    dim: int = 1280, layers: int = 28, tied: bool = True, dtype: torch.dtype = torch.float32
) -> Llama:
    """The model on meta: it has shapes, and no memory.

    Without arguments it is SPEC ``tritoninit.demo_model:build`` of the command line.
    """
    with torch.device("meta"):
        model = Llama(dim, layers, tied)
    rotary = model.rotary.inverse_frequencies
    model.to(dtype)
    model.rotary.inverse_frequencies = rotary
    return model
