"""A machine that runs a launch of a kernel for AMD's gfx9 on host memory, every lane of it.

Waves that part at a branch meet again: of all waves that can go on, those furthest behind do.
A barrier holds waves until none can go on otherwise.  Time is not modelled: every instruction
has ended before the next begins.
"""

from __future__ import annotations

import numpy as np

from tests.amd.accesses import ACCESSES
from tests.amd.exchanges import EXCHANGES
from tests.amd.floats import FLOATS, estimates
from tests.amd.integers import INTEGERS
from tests.amd.program import Instruction, Program
from tests.amd.quotients import QUOTIENTS
from tests.amd.scalars import SCALARS
from tests.amd.waves import EXEC, LANES, VCC, Waves
from tests.machine.memory import Array, Memory

AT_ONCE = 1 << 14  # lanes: their registers stay in a cache
BRANCH = ("s_branch", "s_cbranch_")
BARRIER, END = "s_barrier", "s_endpgm"


class Machine:
    """Runs launches of one kernel.

    shared: bytes of local memory a program.  choice: which of the results that are allowed the
    instructions with an error give, see ``estimates.estimate``.
    """

    def __init__(self, program: Program, memory: Memory, shared: int, choice: str = "any") -> None:
        self.program, self._memory, self._shared = program, memory, shared
        self._operations = INTEGERS | SCALARS | FLOATS | QUOTIENTS | EXCHANGES | ACCESSES
        self._operations |= estimates(choice)
        # The address of the arguments, and those that are preloaded, follow private memory's 4.
        self._arguments = 4 * program.descriptor.get("user_sgpr_private_segment_buffer", 0)
        self._targets = {
            program.labels[step.operands[0].text]
            for step in program.code
            if step.name.startswith(BRANCH)
        }

    @property
    def threads(self) -> int:
        return self.program.threads

    @property
    def sizes(self) -> list[int]:
        """Bytes of each argument."""
        return [size for _, size in self.program.arguments]

    def launch(self, programs: int, values: list[bytes]) -> None:
        """Run a grid of ``programs``; ``values`` are the arguments.

        Raises:
            KeyError: an instruction that is not known.
            ValueError: an access that would fail, or a barrier that would not end.
        """
        held = bytearray(self.program.descriptor["kernarg_size"])
        for (offset, size), value in zip(self.program.arguments, values, strict=True):
            assert len(value) == size
            held[offset : offset + size] = value
        arguments = np.frombuffer(held, np.uint32).copy()
        most = max(1, AT_ONCE // self.program.threads)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            self._check_entry(arguments)
            for first in range(0, programs, most):
                count = min(most, programs - first)
                waves = self._waves(arguments, first, count)
                self._preload(waves, arguments)
                self._run(waves, self.program.entry)

    def _waves(self, arguments: Array, first: int, programs: int) -> Waves:
        """Registers as at a program's begin, but for the arguments that are preloaded."""
        waves = Waves(self.program, programs, self._memory, self._shared)
        each = self.program.threads // LANES
        wave = np.arange(waves.count, dtype=np.uint32)[:, None]
        base = arguments.ctypes.data
        waves.set_scalar(self._arguments, np.uint32(base & 0xFFFFFFFF))
        waves.set_scalar(self._arguments + 1, np.uint32(base >> 32))
        count = self.program.descriptor["user_sgpr_count"]
        waves.set_scalar(count, np.uint32(first) + wave // np.uint32(each))
        waves.set_vector(0, wave % np.uint32(each) * np.uint32(LANES) + np.arange(LANES))
        return waves

    def _preload(self, waves: Waves, arguments: Array) -> None:
        for n in range(self.program.preloaded):
            waves.set_scalar(self._arguments + 2 + n, arguments[n])

    def _check_entry(self, arguments: Array) -> None:
        """A device that preloads nothing begins at 0 and comes to the same."""
        if not self.program.entry:
            return
        waves = self._waves(arguments, 0, 1)
        for step in self.program.code[: self.program.entry - 1]:
            self._execute(waves, step)
        last = self.program.code[self.program.entry - 1]
        assert last.name == "s_branch"
        assert self.program.labels[last.operands[0].text] == self.program.entry
        for n in range(self.program.preloaded):
            place = self._arguments + 2 + n
            if (waves.scalar(place) != arguments[n]).any():
                raise ValueError(f"{self.program.name}: s{place} is not as if preloaded")

    def _run(self, waves: Waves, entry: int) -> None:
        at = np.full(waves.count, entry)
        waiting = np.zeros(waves.count, bool)
        done = np.zeros(waves.count, bool)
        while not done.all():
            ready = ~done & ~waiting
            if not ready.any():
                self._check_barrier(at, waiting)
                waiting[:] = False
                continue
            begin = at[ready].min()
            group = ready & (at == begin)
            waves.choose(None if group.all() else group[:, None])
            end, last = self._straight(waves, int(begin))
            at[group] = end
            if last.name.startswith(BRANCH):
                at[group & self._taken(waves, last)] = self.program.labels[last.operands[0].text]
            elif last.name == BARRIER:
                waiting |= group
            elif last.name == END:
                done |= group

    def _straight(self, waves: Waves, here: int) -> tuple[int, Instruction]:
        """Run until waves may part or meet: where, and the last instruction."""
        while True:
            step = self.program.code[here]
            here += 1
            if step.name.startswith(BRANCH) or step.name in (BARRIER, END):
                return here, step
            self._execute(waves, step)
            if here in self._targets and waves.group is not None:
                return here, step

    def _execute(self, waves: Waves, step: Instruction) -> None:
        try:
            self._operations[step.name](waves, step)
        except Exception as error:
            error.add_note(f"in {self.program.name}: {step.text}")
            raise

    def _taken(self, waves: Waves, step: Instruction) -> Array:
        """Which waves go to a branch's label.

        Raises:
            KeyError: a branch that is not known.
        """
        if step.name == "s_branch":
            return np.ones(waves.count, bool)
        condition = step.name.removeprefix("s_cbranch_")
        set_, clear = {
            "scc1": (waves.scc[:, 0], None),
            "scc0": (None, waves.scc[:, 0]),
            "vccnz": (waves.bits(VCC).any(axis=1), None),
            "vccz": (None, waves.bits(VCC).any(axis=1)),
            "execnz": (waves.bits(EXEC).any(axis=1), None),
            "execz": (None, waves.bits(EXEC).any(axis=1)),
        }[condition]
        taken: Array = set_ if clear is None else ~clear
        return taken

    def _check_barrier(self, at: Array, waiting: Array) -> None:
        """All waves of a program that wait do so at the same barrier."""
        each = self.program.threads // LANES
        for places, held in zip(at.reshape(-1, each), waiting.reshape(-1, each), strict=True):
            if np.unique(places[held]).size > 1:
                raise ValueError(f"{self.program.name}: waves wait at different barriers")
