"""A machine that runs a launch of a PTX kernel on host memory, every lane of it.

Lanes that part at a branch meet again: of all lanes that can go on, those furthest behind do.
A barrier holds lanes until none can go on otherwise.
"""

from __future__ import annotations

import numpy as np

from tests.machine.memory import Memory
from tests.ptx.lanes import Lanes
from tests.ptx.operations import OPERATIONS
from tests.ptx.program import Instruction, Program

LANES = 1 << 14  # at once: their registers stay in a cache
BRANCH, BARRIER, RETURN = "bra", "bar", "ret"


class Machine:
    """Runs launches of one kernel.

    shared: bytes of shared memory a program.  rsqrt: which of the results that PTX allows
    ``rsqrt.approx`` gives, see ``Lanes.reciprocal_root``.
    """

    def __init__(self, program: Program, memory: Memory, shared: int, rsqrt: str = "any") -> None:
        self.program, self._memory, self._shared, self._rsqrt = program, memory, shared, rsqrt
        branches = [step for step in program.code if step.parts[0] == BRANCH]
        self._targets = {program.labels[str(step.operands[0])] for step in branches}

    @property
    def threads(self) -> int:
        return self.program.threads

    @property
    def sizes(self) -> list[int]:
        """Bytes of each parameter."""
        return list(self.program.parameters.values())

    def launch(self, programs: int, values: list[bytes]) -> None:
        """Run a grid of ``programs``; ``values`` are the parameters.

        Raises:
            KeyError: an instruction that is not in ``OPERATIONS``.
            ValueError: an access that would fail, or a barrier that would not end.
        """
        parameters = dict(zip(self.program.parameters, values, strict=True))
        most = max(1, LANES // self.program.threads)
        for first in range(0, programs, most):
            count = min(most, programs - first)
            lanes = Lanes(
                self.program, first, count, parameters, self._memory, self._shared, self._rsqrt
            )
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                self._run(lanes)

    def _run(self, lanes: Lanes) -> None:
        at = np.zeros(lanes.count, np.int64)
        waiting = np.zeros(lanes.count, bool)
        done = np.zeros(lanes.count, bool)
        while not done.all():
            ready = ~done & ~waiting
            if not ready.any():
                self._check_barrier(at, waiting)
                waiting[:] = False
                continue
            begin = at[ready].min()
            group = ready & (at == begin)
            end, taken = self._straight(lanes, group, int(begin))
            last = self.program.code[end - 1]
            at[group] = end
            if last.parts[0] == BRANCH:
                at[taken] = self.program.labels[str(last.operands[0])]
            elif last.parts[0] == BARRIER:
                waiting |= taken
            elif last.parts[0] == RETURN:
                done |= taken

    def _straight(self, lanes: Lanes, group: np.ndarray, here: int) -> tuple[int, np.ndarray]:
        """Run until lanes may part or meet: where, and the lanes on at the last instruction."""
        while True:
            step = self.program.code[here]
            lanes.on = group
            if step.guard:
                lanes.on = group & (lanes.read(step.guard, "pred") != step.negated)
            here += 1
            if step.parts[0] in (BRANCH, BARRIER, RETURN):
                return here, lanes.on
            self._execute(lanes, step)
            if here in self._targets:
                return here, lanes.on

    def _execute(self, lanes: Lanes, step: Instruction) -> None:
        try:
            OPERATIONS[step.parts[0]](lanes, step.parts, step.operands)
        except Exception as error:
            error.add_note(f"in {self.program.name}: {step.text}")
            raise

    def _check_barrier(self, at: np.ndarray, waiting: np.ndarray) -> None:
        """All lanes of a program that wait do so at the same barrier."""
        threads = self.program.threads
        for places, held in zip(at.reshape(-1, threads), waiting.reshape(-1, threads), strict=True):
            if np.unique(places[held]).size > 1:
                raise ValueError(f"{self.program.name}: lanes wait at different barriers")
