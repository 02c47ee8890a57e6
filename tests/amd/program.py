"""AMD GCN assembly as instructions: what Triton emits of one kernel, and nothing more of it."""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = re.compile(r"([a-z]\w+?)(?:_(e32|e64|sdwa|dpp))?(?:\s+(.*))?$")
TOKEN = re.compile(r"(?:[^\s,\[(]|\[[^\]]*\]|\([^)]*\))+")
MODIFIER = re.compile(r"([a-z_0-9]+):(.+)")
REGISTERS = re.compile(r"([vs])(?:(\d+)|\[(\d+):(\d+)\])")
NUMBER = re.compile(r"-?\d+(\.\d+)?|0x[0-9a-f]+")
COUNTER = re.compile(r"\w+\(\d+\)")  # what s_waitcnt waits for
FLAGS = ("offen", "sc0", "sc1", "nt", "clamp")
# Scalar registers with names of their own, and how many there are.
NAMED = {
    "vcc": (106, 2),
    "vcc_lo": (106, 1),
    "vcc_hi": (107, 1),
    "m0": (124, 1),
    "exec": (126, 2),
    "exec_lo": (126, 1),
    "exec_hi": (127, 1),
}


class Operand(NamedTuple):
    """``count`` registers from ``first`` on, a number, or a word: a label, ``off``."""

    kind: str  # "v", "s", "number" or "word"
    text: str
    first: int = 0
    count: int = 1
    negated: bool = False
    absolute: bool = False


class Instruction(NamedTuple):
    """``name_encoding operands modifiers``; of a modifier without a value the value is empty."""

    name: str
    encoding: str
    operands: tuple[Operand, ...]
    modifiers: dict[str, str]
    text: str


class Program(NamedTuple):
    """A kernel and what its descriptor asks of the device.

    arguments: (offset, bytes) in the memory of arguments.  entry: where a device begins that
    has put the first ``preloaded`` dwords of them into scalar registers; one that has not begins
    at 0.
    """

    name: str
    code: list[Instruction]
    labels: dict[str, int]
    entry: int
    preloaded: int
    arguments: list[tuple[int, int]]
    descriptor: dict[str, int]
    threads: int


def parse(amdgcn: str) -> Program:
    """The one kernel of a module.

    Raises:
        ValueError: a line that is neither an instruction nor a directive, or a descriptor that
            asks for registers of which the machine knows nothing.
    """
    (name,) = re.findall(r"^\s*\.amdhsa_kernel (\S+)", amdgcn, re.MULTILINE)
    found = re.findall(r"^\s*\.amdhsa_(\w+) (\d+)\s*$", amdgcn, re.MULTILINE)
    descriptor = {key: int(value) for key, value in found}
    _check(name, descriptor)
    begin = amdgcn.index(f"\n{name}:") + len(name) + 2
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    entry = 0
    for line in amdgcn[begin : amdgcn.index(".amdhsa_kernel", begin)].splitlines():
        text = line.split(";")[0].strip()
        if text.endswith(":"):
            labels[text[:-1]] = len(code)
        elif text.startswith(".section"):
            break
        elif text.split() == [".p2align", "8"]:
            entry = len(code)
        elif text and not text.startswith("."):
            code.append(instruction(text))
    preloaded = descriptor.get("user_sgpr_kernarg_preload_length", 0)
    if bool(preloaded) != bool(entry):
        raise ValueError(f"{name}: {preloaded} dwords are preloaded, for code at {entry}")
    metadata = amdgcn[amdgcn.index(".amdgpu_metadata") :]
    arguments = re.findall(r"\.offset:\s+(\d+)\s+\.size:\s+(\d+)", metadata)
    (threads,) = re.findall(r"\.max_flat_workgroup_size: (\d+)", metadata)
    places = [(int(offset), int(size)) for offset, size in arguments]
    return Program(name, code, labels, entry, preloaded, places, descriptor, int(threads))


def _check(name: str, descriptor: dict[str, int]) -> None:
    """User registers are those of private memory, which nothing uses, and of the arguments."""
    known = {"user_sgpr_count", "user_sgpr_kernarg_segment_ptr", "system_sgpr_workgroup_id_x"}
    more = {"user_sgpr_kernarg_preload_length", "user_sgpr_private_segment_buffer"}
    asked = [
        key
        for key, value in descriptor.items()
        if value and key.startswith(("user_sgpr", "system_sgpr", "system_vgpr", "enable_private"))
    ]
    if not known <= set(asked) <= known | more:
        raise ValueError(f"{name} asks for {sorted(asked)}")


def instruction(text: str) -> Instruction:
    """One line.

    Raises:
        ValueError: it cannot be read.
    """
    matched = NAME.match(text)
    if not matched:
        raise ValueError(f"not an instruction: {text!r}")
    name, encoding, rest = matched.groups()
    operands = []
    modifiers = {}
    for token in TOKEN.findall(rest or ""):
        modifier = MODIFIER.fullmatch(token)
        if modifier:
            modifiers[modifier[1]] = modifier[2]
        elif token in FLAGS or COUNTER.fullmatch(token):
            modifiers[token] = ""
        else:
            operands.append(operand(token))
    return Instruction(name, encoding or "", tuple(operands), modifiers, text)


def operand(text: str) -> Operand:
    """A register or several, a number, or a word."""
    if NUMBER.fullmatch(text):
        return Operand("number", text)
    inner = text.lstrip("-")
    negated, absolute = inner != text, inner.startswith("|")
    inner = inner.strip("|")
    matched = REGISTERS.fullmatch(inner)
    if matched:
        kind, single, first, last = matched.groups()
        begin = int(single or first)
        count = 1 if single else int(last) - begin + 1
        return Operand(kind, text, begin, count, negated, absolute)
    if inner in NAMED:
        return Operand("s", text, *NAMED[inner], negated, absolute)
    return Operand("word", text)
