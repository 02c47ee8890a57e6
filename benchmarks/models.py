"""Models that are initialised as a whole, on meta: their shapes and their init code, no forward.

Sizes as published: Llama 3 8B (Meta's config.json), Mixtral 8x7B (Mistral's), ResNet-50 (He et
al., CVPR 2016, as in torchvision), and a mixture of many small experts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

STD = 0.02
LINEAR = dict(bias=False)


class Attention(nn.Module):
    """The projections of grouped-query attention."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.q = nn.Linear(width, width, **LINEAR)
        self.k = nn.Linear(width, groups, **LINEAR)
        self.v = nn.Linear(width, groups, **LINEAR)
        self.o = nn.Linear(width, width, **LINEAR)


class Expert(nn.Module):
    """SwiGLU's projections."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, **LINEAR)
        self.up = nn.Linear(width, hidden, **LINEAR)
        self.down = nn.Linear(hidden, width, **LINEAR)


class Layer(nn.Module):
    """A decoder layer; with several experts there is a router as well."""

    def __init__(self, width: int, groups: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.attention = Attention(width, groups)
        self.experts = nn.ModuleList(Expert(width, hidden) for _ in range(experts))
        if experts > 1:
            self.router = nn.Linear(width, experts, **LINEAR)
        self.attention_norm = nn.RMSNorm(width)
        self.norm = nn.RMSNorm(width)


@dataclass(frozen=True)
class Decoder:
    """The sizes of a decoder, and how to build it on meta."""

    layers: int
    width: int
    groups: int  # keys' and values' width
    hidden: int
    vocabulary: int
    experts: int = 1

    def build(self, dtype: torch.dtype) -> nn.Module:
        """The model on meta."""
        with torch.device("meta"):
            model = nn.Module()
            model.embedding = nn.Embedding(self.vocabulary, self.width)
            model.layers = nn.ModuleList(
                Layer(self.width, self.groups, self.hidden, self.experts)
                for _ in range(self.layers)
            )
            model.norm = nn.RMSNorm(self.width)
            model.head = nn.Linear(self.width, self.vocabulary, **LINEAR)
        return model.to(dtype)


class Bottleneck(nn.Module):
    """Three convolutions, and a fourth where the shortcut changes shape."""

    def __init__(self, channels: int, inner: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, bias=False)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (inner, inner, 4 * inner))
        if shortcut:
            self.shortcut = nn.Conv2d(channels, 4 * inner, 1, bias=False)
            self.norms.append(nn.BatchNorm2d(4 * inner))


@dataclass(frozen=True)
class ResNet:
    """The numbers of blocks of a bottleneck ResNet, and how to build it on meta."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)

    def build(self, dtype: torch.dtype) -> nn.Module:
        """The model on meta."""
        with torch.device("meta"):
            model = nn.Module()
            model.stem = nn.Conv2d(3, 64, 7, bias=False)
            model.norm = nn.BatchNorm2d(64)
            stages, channels = [], 64
            for stage, count in enumerate(self.blocks):
                for block in range(count):
                    stages.append(Bottleneck(channels, 64 << stage, block == 0))
                    channels = 256 << stage
            model.stages = nn.ModuleList(stages)
            model.head = nn.Linear(channels, 1000)
        return model.to(dtype)


def init(module: nn.Module, library: Any = nn.init, **key: Any) -> None:
    """The init code of all of these models, for one module; ``library`` as torch.nn.init."""
    if isinstance(module, nn.Linear | nn.Embedding):
        library.normal_(module.weight, std=STD, **key)
        if isinstance(module, nn.Linear) and module.bias is not None:
            library.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        library.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", **key)
    elif isinstance(module, nn.BatchNorm2d | nn.RMSNorm):
        module.reset_parameters()


@dataclass(frozen=True)
class Workload:
    """A model in a dtype."""

    name: str
    sizes: Decoder | ResNet
    dtype: str
    small: dict[str, int]  # what of the sizes is less on a CPU

    def scaled(self, device: str, most: int) -> Workload:
        """The workload as it is run: on a GPU with as many layers as fit into ``most`` bytes."""
        if device == "cpu":
            return replace(self, sizes=replace(self.sizes, **self.small))
        sizes = self.sizes
        while isinstance(sizes, Decoder) and sizes.layers > 1 and nbytes(sizes, self.dtype) > most:
            sizes = replace(sizes, layers=sizes.layers - 1)
        return replace(self, sizes=sizes)

    def described(self) -> dict[str, Any]:
        """The sizes, as plain numbers."""
        return asdict(self.sizes)


def nbytes(sizes: Decoder | ResNet, dtype: str) -> int:
    """Of all parameters and buffers."""
    model = sizes.build(getattr(torch, dtype))
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


WORKLOADS = (
    Workload(
        "Llama 3 8B",
        Decoder(layers=32, width=4096, groups=1024, hidden=14336, vocabulary=128256),
        "bfloat16",
        dict(layers=1, vocabulary=16032),
    ),
    Workload(
        "50,000 tensors",
        Decoder(layers=65, width=64, groups=16, hidden=32, vocabulary=32000, experts=256),
        "bfloat16",
        dict(layers=13),
    ),
    Workload("ResNet-50", ResNet(), "float32", {}),
    Workload(
        "Mixtral 8x7B",
        Decoder(layers=32, width=4096, groups=1024, hidden=14336, vocabulary=32000, experts=8),
        "bfloat16",
        dict(layers=1, vocabulary=8000, experts=2),
    ),
)
