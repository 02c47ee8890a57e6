"""The machine against small kernels whose results can be said without it: control and memory."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.amd.machine import Machine
from tests.amd.small import THREADS, program, run
from tests.machine.memory import Memory, build

COMPILER = os.environ.get("CC", "gcc")
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")
NUMBERS = np.arange(2 * THREADS, dtype=np.uint64)
ZEROS = np.zeros(THREADS, np.uint64)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    return build(tmp_path_factory.mktemp("amd"))


def test_lanes_that_are_off_keep_their_registers(memory: Memory) -> None:
    """Each lane loops as often as its number modulo 8 says, odd ones add 100 after."""
    code = """
	v_mov_b64_e32 v[4:5], 0
	v_and_b32_e32 v6, 7, v0
	s_mov_b64 s[6:7], exec
.LBB0_1:
	v_cmp_gt_u32_e32 vcc, v6, v4
	s_and_b64 exec, exec, vcc
	s_cbranch_execz .LBB0_2
	v_add_u32_e32 v4, 1, v4
	s_branch .LBB0_1
.LBB0_2:
	s_mov_b64 exec, s[6:7]
	v_and_b32_e32 v7, 1, v0
	v_cmp_eq_u32_e64 s[8:9], 1, v7
	s_and_saveexec_b64 s[10:11], s[8:9]
	v_add_u32_e32 v4, 0x64, v4
	s_or_b64 exec, exec, s[10:11]
"""
    lane = np.arange(2 * THREADS)
    expected = lane % 8 + 100 * (lane % 2)
    assert (run(memory, code, NUMBERS, programs=2) == expected).all()


def test_waves_part_and_meet(memory: Memory) -> None:
    """The second wave of each program goes another way, and further, than the first."""
    code = """
	v_readfirstlane_b32 s6, v0
	s_mov_b32 s7, 0
	s_cmp_lg_u32 s6, 0
	s_cbranch_scc1 .LBB0_2
	s_add_i32 s7, s7, 10
	s_branch .LBB0_3
.LBB0_2:
	s_add_i32 s7, s7, 1
	s_cmp_eq_u32 s7, 5
	s_cbranch_scc0 .LBB0_2
.LBB0_3:
	s_add_i32 s7, s7, s2
	v_mov_b32_e32 v4, s7
	v_mov_b32_e32 v5, 0
"""
    expected = np.concatenate([np.repeat([10 + n, 5 + n], 64) for n in range(2)])
    assert (run(memory, code, NUMBERS, programs=2) == expected).all()


def test_local_memory_is_a_programs_own_and_barriers_hold(memory: Memory) -> None:
    """The two waves of a program write at different times and read what the other wrote."""
    code = """
	v_lshlrev_b32_e32 v6, 3, v0
	v_readfirstlane_b32 s6, v0
	s_cmp_lg_u32 s6, 0
	s_cbranch_scc1 .LBB0_1
	v_lshl_add_u64 v[2:3], v[2:3], 0, 2
.LBB0_1:
	ds_write_b64 v6, v[2:3]
	s_waitcnt lgkmcnt(0)
	s_barrier
	v_xor_b32_e32 v6, 0x200, v6
	ds_read_b64 v[4:5], v6
"""
    own = np.arange(2 * THREADS).reshape(2, 2, 64)
    own[:, 0] += 2
    assert (run(memory, code, NUMBERS, programs=2) == own[:, ::-1].reshape(-1)).all()


def test_two_places_of_local_memory(memory: Memory) -> None:
    """Lane n writes n at 8 n and n + 1000 at 8 n + 512, and reads the places of lane 63 - n."""
    code = """
	v_and_b32_e32 v6, 63, v0
	v_lshlrev_b32_e32 v7, 3, v6
	v_mov_b32_e32 v8, v6
	v_mov_b32_e32 v9, 0
	v_add_u32_e32 v10, 0x3e8, v6
	v_mov_b32_e32 v11, 0
	ds_write2st64_b64 v7, v[8:9], v[10:11] offset1:1
	v_sub_u32_e32 v7, 0x1f8, v7
	ds_read2_b64 v[12:15], v7 offset1:64
	v_mov_b32_e32 v4, v12
	v_mov_b32_e32 v5, v14
"""
    found = run(memory, code, ZEROS).view(np.uint32).reshape(-1, 2)
    lane = np.arange(THREADS) % 64
    assert (found == np.stack([63 - lane, 1063 - lane], axis=1)).all()


RESOURCE = """
	s_mov_b32 s8, s4
	s_and_b32 s9, s5, 0xffff
	s_mov_b32 s10, {records}
	s_mov_b32 s11, 0x27000
"""


def test_what_a_buffer_does_not_hold_is_read_as_0_and_not_written(memory: Memory) -> None:
    """The buffer ends within the second wave; masked lanes lie at 2**31."""
    code = (
        RESOURCE.format(records="0x208")
        + """
	v_bfrev_b32_e32 v6, 1
	v_cmp_ne_u32_e32 vcc, 3, v0
	v_cndmask_b32_e32 v6, v6, v1, vcc
	buffer_load_dwordx2 v[8:9], v6, s[8:11], 0 offen
	v_add_u32_e32 v8, 1, v8
	buffer_store_dword v8, v6, s[8:11], 0 offen offset:4
	global_load_dwordx2 v[4:5], v1, s[4:5]
	v_mov_b32_e32 v4, v8
"""
    )
    found = run(memory, code, NUMBERS[:THREADS]).view(np.uint32).reshape(-1, 2)
    lane = np.arange(THREADS)
    inside = (lane < 65) & (lane != 3)
    assert (found[:, 0] == np.where(inside, lane + 1, 1)).all()
    assert (found[:, 1] == np.where(inside, lane + 1, 0)).all()


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("global_store_dwordx4 v1, v[4:7], s[4:5] offset:2", "no multiple of 4"),
        ("v_mov_b32_e32 v6, 0x400\n	ds_write_b32 v6, v0", "outside of 1024 bytes"),
        ("v_mov_b32_e32 v6, 4\n	ds_read_b64 v[4:5], v6", "no multiple of 8"),
        (f"{RESOURCE.format(records=4)}buffer_load_dwordx2 v[4:5], v1, s[8:11], 0 offen", "partly"),
        (
            f"{RESOURCE.format(records=64)}s_bitset1_b32 s9, 31",
            "s_bitset1_b32",
        ),
        (
            f"{RESOURCE.format(records=64)}s_or_b32 s9, s9, 0x80000000\n"
            "	buffer_load_dword v4, v1, s[8:11], 0 offen",
            "not base and offset",
        ),
        ("v_tanh_f32_e32 v4, v2", "v_tanh_f32"),
        ("v_fma_mixlo_f16 v4, v2, v2, v2", "v_fma_mixlo_f16"),
        ("v_add_f32_e64 v4, v2, v2 clamp", "unknown modifiers"),
        ("s_mov_b64 s[6:7], 0x80000000", "extended by its sign"),
    ],
)
def test_what_is_wrong_or_not_known_is_an_error(memory: Memory, access: str, message: str) -> None:
    with pytest.raises((ValueError, KeyError), match=message):
        run(memory, f"	{access}\n", ZEROS)


def test_waves_at_different_barriers_are_an_error(memory: Memory) -> None:
    code = """
	v_readfirstlane_b32 s6, v0
	s_cmp_lg_u32 s6, 0
	s_cbranch_scc1 .LBB0_1
	s_barrier
	s_branch .LBB0_2
.LBB0_1:
	s_barrier
.LBB0_2:
"""
    with pytest.raises(ValueError, match="different barriers"):
        run(memory, code, ZEROS)


def test_what_was_not_written_is_noise(memory: Memory) -> None:
    assert np.unique(run(memory, "	v_mov_b64_e32 v[4:5], v[10:11]", ZEROS)).size == THREADS
    scalar = run(memory, "	v_mov_b64_e32 v[4:5], s[30:31]", ZEROS)
    assert np.unique(scalar).size == THREADS // 64


PRELOADING = """
	s_load_dwordx2 s[2:3], s[0:1], {offset}
	s_waitcnt lgkmcnt(0)
	s_branch .LBB0_0
	.p2align	8
.LBB0_0:
	v_lshlrev_b32_e32 v1, 3, v0
	v_mov_b32_e32 v2, s4
	v_mov_b32_e32 v3, 7
	global_store_dwordx2 v1, v[2:3], s[2:3]
	s_endpgm
"""
PRELOADED = {"user_sgpr_count": 4, "user_sgpr_kernarg_preload_length": 2, "kernarg_size": 16}


def test_arguments_are_preloaded(memory: Memory) -> None:
    held = np.zeros(THREADS, np.uint64)
    kernel = program(PRELOADING.format(offset="0x0"), **PRELOADED)
    Machine(kernel, memory, 0).launch(1, [held.ctypes.data.to_bytes(8, "little")])
    assert (held == 7 << 32).all()


def test_an_entry_that_loads_anything_else_is_an_error(memory: Memory) -> None:
    kernel = program(PRELOADING.format(offset="0x8"), **PRELOADED)
    with pytest.raises(ValueError, match="preload"):
        Machine(kernel, memory, 0).launch(1, [ZEROS.ctypes.data.to_bytes(8, "little")])


def test_a_kernel_that_asks_for_more_is_an_error() -> None:
    with pytest.raises(ValueError, match="system_vgpr_workitem_id"):
        program("	s_endpgm", system_vgpr_workitem_id=1)
