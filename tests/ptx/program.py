"""PTX text as instructions: what Triton emits of one kernel, and nothing more of the language."""

from __future__ import annotations

import re
from typing import NamedTuple

WIDTHS = {"pred": 1, "b16": 16, "b32": 32, "b64": 64}
REGISTERS = re.compile(r"\.reg \.(\w+)\s+%(\w+)<(\d+)>")
PARAMETER = re.compile(r"\.param \.(\w+)(?: \.ptr \.global \.align \d+)? (\w+_param_\d+)")
INSTRUCTION = re.compile(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.]*)(?:\s+(.*))?$")
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
ADDRESS = re.compile(r"\[\s*(%?\w+)\s*(?:\+\s*(-?\d+))?\s*\]")


class Instruction(NamedTuple):
    """``@guard`` (or ``@!guard``) name.part.part operands; of a vector the operand is a tuple."""

    guard: str
    negated: bool
    parts: list[str]
    operands: tuple[str | tuple[str, ...], ...]
    text: str


class Program(NamedTuple):
    """A kernel: its parameters with their bytes, its registers with their bits, and its code."""

    name: str
    parameters: dict[str, int]
    registers: dict[str, int]
    code: list[Instruction]
    labels: dict[str, int]
    threads: int


def parse(ptx: str) -> Program:
    """The one kernel of a module.

    Raises:
        ValueError: a line that is neither an instruction nor a directive known to say nothing.
    """
    begin = ptx.index(".visible .entry ")
    head, body = ptx[begin:].split("{", 1)
    matched = re.match(r"\.visible \.entry (\w+)\(", head)
    found = re.search(r"\.reqntid (\d+)", head)
    assert matched
    assert found
    parameters = {name: int(kind[1:]) // 8 for kind, name in PARAMETER.findall(head)}
    registers: dict[str, int] = {}
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    depth = 1
    for line in body.splitlines():
        for part in _statements(line):
            if part in ("{", "}"):
                depth += 1 if part == "{" else -1
            elif part.endswith(":"):
                labels[part[:-1]] = len(code)
            elif part.startswith(".reg"):
                kind, prefix, count = REGISTERS.findall(part)[0]
                registers |= {f"%{prefix}{n}": WIDTHS[kind] for n in range(int(count))}
            elif not part.startswith((".loc", ".pragma")):
                code.append(_instruction(part))
        if not depth:
            break
    return Program(matched[1], parameters, registers, code, labels, int(found[1]))


def _statements(line: str) -> list[str]:
    line = line.split("//")[0].strip()
    if line in ("{", "}") or line.endswith(":"):
        return [line]
    return [part.strip() for part in line.split(";") if part.strip()]


def _instruction(text: str) -> Instruction:
    matched = INSTRUCTION.match(text)
    if not matched:
        raise ValueError(f"not an instruction: {text!r}")
    negated, guard, name, rest = matched.groups()
    operands = tuple(
        tuple(re.split(r"[\s,]+", operand.strip("{} "))) if operand.startswith("{") else operand
        for operand in OPERAND.findall(rest or "")
    )
    return Instruction(guard or "", bool(negated), name.split("."), operands, text)


def address(operand: str) -> tuple[str, int]:
    """(register, parameter or symbol, offset in bytes) of ``[base + offset]``.

    Raises:
        ValueError: another form.
    """
    matched = ADDRESS.fullmatch(operand)
    if not matched:
        raise ValueError(f"not an address: {operand!r}")
    return matched[1], int(matched[2] or 0)
