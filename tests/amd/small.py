"""Small kernels around a few instructions, for a machine to run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.amd.machine import Machine
from tests.amd.program import Program, parse
from tests.machine.memory import Memory

THREADS = 128
LOCAL = 1024  # bytes of local memory

BEGIN = f"""
	s_load_dwordx2 s[4:5], s[0:1], 0x0
	s_waitcnt lgkmcnt(0)
	v_mov_b32_e32 v1, 0x{THREADS:x}
	v_mul_lo_u32 v1, s2, v1
	v_add_lshl_u32 v1, v1, v0, 3
	global_load_dwordx2 v[2:3], v1, s[4:5]
	s_waitcnt vmcnt(0)
"""
END = """
	global_store_dwordx2 v1, v[4:5], s[4:5]
	s_endpgm
"""
DESCRIPTOR = {
    "kernarg_size": 8,
    "user_sgpr_count": 2,
    "user_sgpr_kernarg_segment_ptr": 1,
    "system_sgpr_workgroup_id_x": 1,
    "next_free_vgpr": 32,
    "float_denorm_mode_32": 3,
    "float_denorm_mode_16_64": 3,
}


class Modes(NamedTuple):
    """How the machine computes: what estimates give, and the fields of the descriptor."""

    choice: str = "nearest"
    subnormals32: int = 3
    subnormals64: int = 3


def program(text: str, **descriptor: int) -> Program:
    """A kernel of one pointer."""
    held = "".join(f"	.amdhsa_{name} {n}\n" for name, n in (DESCRIPTOR | descriptor).items())
    return parse(f"""
kernel:                                 ; @kernel
{text}
	.section	.rodata,"a",@progbits
	.amdhsa_kernel kernel
{held}	.end_amdhsa_kernel
	.amdgpu_metadata
    .args:
      - .address_space:  global
        .offset:         0
        .size:           8
    .max_flat_workgroup_size: {THREADS}
""")


def run(
    memory: Memory, code: str, given: np.ndarray, programs: int = 1, modes: Modes | None = None
) -> np.ndarray:
    """v[2:3] are the thread's 8 bytes of ``given``; v[4:5], also at first, are its result.

    v0 is the number of the thread in its program, s2 that of the program; v1 is where the
    thread's 8 bytes lie behind s[4:5].
    """
    modes = modes or Modes()
    held = np.ascontiguousarray(given).view(np.uint64).reshape(-1).copy()
    assert held.size == programs * THREADS
    denormals = {
        "float_denorm_mode_32": modes.subnormals32,
        "float_denorm_mode_16_64": modes.subnormals64,
    }
    copied = "	v_mov_b64_e32 v[4:5], v[2:3]\n"
    kernel = program(BEGIN + copied + code + END, **denormals)
    machine = Machine(kernel, memory, LOCAL, modes.choice)
    machine.launch(programs, [held.ctypes.data.to_bytes(8, "little")])
    return held
