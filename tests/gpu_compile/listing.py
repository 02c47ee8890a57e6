"""Reading SASS: instructions, the control-flow graph, and the path of a full tile."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from typing import NamedTuple

INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;")
LABEL = re.compile(r"\s*(\.L_x_\d+):")
BRANCH = re.compile(r"`\((\.L_x_\d+)\)")
PREDICATE = re.compile(r"^@!?U?P\w+\s+")
WIDE_STORE = "STG.E.128"
CALL_COST = 10_000  # a slow path of sqrt or division is never on the cheapest path


class Node(NamedTuple):
    """An instruction, and the indices of those that may follow it."""

    text: str
    successors: tuple[int, ...]
    ends: bool


def opcode(text: str) -> str:
    """The instruction's name with its modifiers."""
    return PREDICATE.sub("", text).split()[0]


def instructions(sass: str) -> list[str]:
    """The instructions of a listing in order."""
    return [m.group(1) for line in sass.splitlines() if (m := INSTRUCTION.search(line))]


def graph(sass: str) -> list[Node]:
    """The control-flow graph of a kernel as ``nvdisasm -c`` prints it."""
    texts: list[str] = []
    labels: dict[str, int] = {}
    for line in sass.splitlines():
        if label := LABEL.match(line):
            labels[label.group(1)] = len(texts)
        elif found := INSTRUCTION.search(line):
            texts.append(found.group(1))
    return [_node(i, text, labels) for i, text in enumerate(texts)]


def _node(index: int, text: str, labels: dict[str, int]) -> Node:
    name = opcode(text)
    following: tuple[int, ...] = (index + 1,)
    if name.startswith("EXIT"):
        return Node(text, following if PREDICATE.match(text) else (), True)
    if name.startswith("RET"):
        return Node(text, (), False)
    if name.startswith("BRA"):
        target = BRANCH.search(text)
        if target is None:
            raise ValueError(f"a branch without a target: {text}")
        # 'BRA P0, `(L)' and '@P0 BRA `(L)' fall through; 'BRA `(L)' does not.
        conditional = PREDICATE.match(text) or "," in text.split("BRA")[1].split("`")[0]
        return Node(text, (labels[target.group(1)], *(following if conditional else ())), False)
    return Node(text, following, False)


def full_tile(sass: str, through: str = WIDE_STORE) -> list[str]:
    """The instructions on the shortest path from entry to exit that passes ``through``.

    That is what a program executes for a full, aligned tile: the unmasked 16-byte stores, and
    no slow path of a square root or a division.
    """
    nodes = graph(sass)
    heap: list[tuple[int, int, bool]] = [(0, 0, False)]
    before: dict[tuple[int, bool], tuple[int, bool] | None] = {(0, False): None}
    cost = {(0, False): 0}
    finished: dict[tuple[int, bool], int] = {}
    while heap:
        distance, index, stored = heapq.heappop(heap)
        if distance > cost[index, stored] or index >= len(nodes):
            continue
        node = nodes[index]
        passed = stored or through in node.text
        step = distance + (CALL_COST if opcode(node.text).startswith("CALL") else 1)
        if node.ends and passed:
            finished[index, stored] = step
        for successor in node.successors:
            state = (successor, passed)
            if step < cost.get(state, 1 << 60):
                cost[state] = step
                before[state] = (index, stored)
                heapq.heappush(heap, (step, *state))
    if not finished:
        raise ValueError(f"no path from entry to exit passes {through}")
    at: tuple[int, bool] | None = min(finished, key=lambda state: finished[state])
    path = []
    while at is not None:
        path.append(nodes[at[0]].text)
        at = before[at]
    return path[::-1]


def count(path: list[str], prefix: str) -> int:
    """How many instructions' names begin with ``prefix``."""
    return sum(opcode(text).startswith(prefix) for text in path)


def mix(path: list[str]) -> Counter[str]:
    """How often each opcode, without its modifiers, occurs."""
    return Counter(opcode(text).split(".")[0] for text in path)


def resource(usage: str, name: str) -> int:
    """A number out of ``cuobjdump -res-usage``: REG, STACK, SHARED, LOCAL..."""
    found = re.search(rf"\b{name}:(\d+)", usage)
    if found is None:
        raise ValueError(f"no {name} in {usage!r}")
    return int(found.group(1))


def opcodes(ptx: str) -> Counter[str]:
    """The PTX instructions by name, predicates left out."""
    return Counter(re.findall(r"^\s+(?:@!?%p\d+\s+)?([a-z][\w.:]*)\s+[^;]*;", ptx, re.MULTILINE))
