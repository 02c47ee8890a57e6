"""What instructions compute, against values that can be said without the machine."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.amd.small import THREADS, Modes, run
from tests.machine.memory import Memory, build

COMPILER = os.environ.get("CC", "gcc")
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")
LANE = np.arange(64)
TINY = 2.0**-126


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    return build(tmp_path_factory.mktemp("amd"))


def pairs(a: float, b: float) -> np.ndarray:
    """Of every thread v2 is a, v3 is b."""
    return np.resize(np.array([a, b], np.float32).view(np.uint64), THREADS)


NAN, INF = float("nan"), float("inf")
# (instructions on v2 = a and v3 = b, a, b, the bits of v4 after)
CASES: dict[str, tuple[str, float, float, int]] = {
    # (1 + 2**-12)**2 - 1 - 2**-11 is 2**-24 if it is not rounded in between
    "fma": ("v_fma_f32 v4, v2, v2, v3", 1 + 2**-12, -1 - 2**-11, 0x33800000),
    "fmac": (
        "v_mov_b32_e32 v4, v3\n	v_fmac_f32_e32 v4, v2, v2",
        1 + 2**-12,
        -1 - 2**-11,
        0x33800000,
    ),
    "product and sum": (
        "v_mul_f32_e32 v4, v2, v2\n	v_add_f32_e32 v4, v4, v3",
        1 + 2**-12,
        -1 - 2**-11,
        0,
    ),
    "negated and absolute": ("v_add_f32_e64 v4, -|v2|, v3", -1.0, 3.0, 0x40000000),
    "fmamk": ("v_fmamk_f32 v4, v2, 0x40400000, v3", 2.0, 1.0, 0x40E00000),
    "fmaak": ("v_fmaak_f32 v4, v2, v3, 0x3f800000", 2.0, 3.0, 0x40E00000),
    "a constant": ("v_mul_f32_e32 v4, 0.5, v2", 3.0, 0, 0x3FC00000),
    "a constant's bits": ("v_or_b32_e32 v4, 1.0, v2", 2.0, 0, 0x7F800000),
    "an integer is no number": ("v_add_f32_e32 v4, 1, v2", 0.0, 0, 1),
    "least of zeros": ("v_min_f32_e32 v4, v2, v3", 0.0, -0.0, 0x80000000),
    "greatest of a NaN": ("v_max_f32_e32 v4, v2, v3", NAN, -3.0, 0xC0400000),
    "truncated": ("v_trunc_f32_e32 v4, v2", -2.75, 0, 0xC0000000),
    "to unsigned": ("v_cvt_u32_f32_e32 v4, v2", 4294967040.0, 0, 0xFFFFFF00),
    "to unsigned, below": ("v_cvt_u32_f32_e32 v4, v2", -1.0, 0, 0),
    "to unsigned, above": ("v_cvt_u32_f32_e32 v4, v2", INF, 0, 0xFFFFFFFF),
    "to unsigned, NaN": ("v_cvt_u32_f32_e32 v4, v2", NAN, 0, 0),
    "to signed": ("v_cvt_i32_f32_e32 v4, v2", -2.75, 0, 0xFFFFFFFE),
    "a tie of integers": (
        "s_mov_b32 s6, 0xffffff80\n	v_cvt_f32_u32_e32 v4, s6",
        0,
        0,
        0x4F800000,
    ),
    "float16, a tie to even": ("v_cvt_f16_f32_e32 v4, v2", 1 + 2**-11, 0, 0x3C00),
    "float16, infinite": ("v_cvt_f16_f32_e32 v4, v2", 65520.0, 0, 0x7C00),
    "two float16": (
        "v_cvt_f16_f32_e32 v6, v2\n	v_cvt_f16_f32_e32 v7, v3\n	v_pack_b32_f16 v4, v6, v7",
        2.0,
        -1.0,
        0xBC004000,
    ),
    "equal": ("v_cmp_eq_f32_e32 vcc, v2, v3\n	v_cndmask_b32_e64 v4, 0, 1, vcc", 0.0, -0.0, 1),
    "ordered": ("v_cmp_o_f32_e32 vcc, v2, v3\n	v_cndmask_b32_e64 v4, 0, 1, vcc", NAN, 1.0, 0),
    "not less": ("v_cmp_nlt_f32_e32 vcc, v2, v3\n	v_cndmask_b32_e64 v4, 0, 1, vcc", NAN, 1, 1),
    "a negated choice": ("v_cndmask_b32_e64 v4, v2, -v2, exec", 1.0, 0, 0xBF800000),
    "high half": ("v_mul_hi_u32 v4, v2, -1", 1.0, 0, 0x3F7FFFFF),
    "three summed": ("v_add3_u32 v4, v2, 64, -16", 1.0, 0, 0x3F800030),
    "sum, shifted": ("v_add_lshl_u32 v4, v2, 1, 4", 1.0, 0, 0xF8000010),
    "shifted by more": ("v_lshlrev_b32_e32 v4, 33, v2", 1.0, 0, 0x7F000000),
    "arithmetic shift": ("v_ashrrev_i32_e32 v4, 28, v2", -1.0, 0, 0xFFFFFFFB),
    "field": ("v_bfe_u32 v4, v2, 23, 8", -2.0, 0, 0x80),
    "signed field": ("v_bfe_i32 v4, v2, 23, 8", -2.0, 0, 0xFFFFFF80),
    "inserted bits": ("v_bfi_b32 v4, -16, v2, v3", 1.0, -NAN, 0x3F800000),
    "xor and sum": ("v_xad_u32 v4, v2, v3, 5", 1.0, -1.0, 0x80000005),
    "bytes": ("s_mov_b32 s6, 0xd0c0804\n	v_perm_b32 v4, v2, v3, s6", 1.5, -2.0, 0xFF000000),
    "a sign": ("s_mov_b32 s6, 0x90b0604\n	v_perm_b32 v4, v2, v3, s6", -1.5, -2.0, 0xFFFFC000),
    "any function of bits": ("v_bitop3_b32 v4, v2, v3, 15 bitop3:0xe", 1.0, -1.0, 0x8000000F),
    "two bfloat16": ("v_cvt_pk_bf16_f32 v4, v2, v3", 1 + 2**-8, -1 - 3 * 2**-8, 0xBF823F80),
    "reversed": ("v_bfrev_b32_e32 v4, v2", 1.0, 0, 0x000001FC),
    "half a register": (
        "v_and_b32_sdwa v4, v2, v3 dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:WORD_1 "
        "src1_sel:BYTE_3",
        1.5,
        -2.0,
        (0x3FC0 & 0xC0) << 16,
    ),
    "divided by a fifth": ("v_rcp_f32_e32 v4, v2", 4.0, 0, 0x3E800000),
    "of a subnormal": ("v_rcp_f32_e32 v4, v2", TINY / 2, 0, 0x7F800000),
}


@pytest.mark.parametrize("name", CASES)
def test_vector_instructions(memory: Memory, name: str) -> None:
    code, a, b, expected = CASES[name]
    found = run(memory, f"	{code}\n	v_mov_b32_e32 v5, 0\n", pairs(a, b))
    assert (found == expected).all(), [hex(int(n)) for n in np.unique(found)]


# (instructions, s6 and scc after)
SCALARS: dict[str, tuple[str, int, int]] = {
    "carry": ("s_add_u32 s6, s7, 1", 0, 1),
    "no carry": ("s_add_u32 s6, s8, 1", 0x80000000, 0),
    "overflow": ("s_add_i32 s6, s8, 1", 0x80000000, 1),
    "no overflow": ("s_add_i32 s6, s7, 1", 0, 0),
    "borrow": ("s_sub_u32 s6, 0, 1", 0xFFFFFFFF, 1),
    "into what is read": ("s_mov_b32 s6, 1\n	s_sub_u32 s6, s6, 2", 0xFFFFFFFF, 1),
    "difference overflows": ("s_sub_i32 s6, s8, s7", 0x80000000, 1),
    "carried on": ("s_add_u32 s9, s7, 1\n	s_addc_u32 s6, s7, 0", 0, 1),
    "borrowed on": ("s_sub_u32 s9, 0, 1\n	s_subb_u32 s6, 5, 4", 0, 0),
    "a short constant": ("s_movk_i32 s6, 0xfffe\n	s_cmp_lg_u32 s6, 0", 0xFFFFFFFE, 1),
    "added to itself": ("s_mov_b32 s6, s8\n	s_addk_i32 s6, 0x1", 0x80000000, 1),
    "high half": ("s_mul_hi_u32 s6, s7, s7\n	s_cmp_eq_u32 s6, -2", 0xFFFFFFFE, 1),
    "signed high half": ("s_mul_hi_i32 s6, s7, s7\n	s_cmp_eq_u32 s6, 0", 0, 1),
    "shifted": ("s_lshl_b32 s6, s7, 33", 0xFFFFFFFE, 1),
    "shifted arithmetically": ("s_ashr_i32 s6, s7, 40", 0xFFFFFFFF, 1),
    "and not": ("s_andn2_b32 s6, s7, s8", 0x80000000, 1),
    "shifted sum": ("s_lshl1_add_u32 s6, s7, 2", 0, 1),
    "signed less": ("s_mov_b32 s6, 3\n	s_cmp_lt_i32 s7, 0", 3, 1),
    "unsigned less": ("s_mov_b32 s6, 3\n	s_cmp_lt_u32 s7, 0", 3, 0),
    "chosen": ("s_cmp_eq_u32 s7, 0\n	s_cselect_b32 s6, 1, 2", 2, 0),
    "a bit": ("s_mov_b32 s6, 8\n	s_bitcmp1_b32 s6, 3", 8, 1),
    "packed": ("s_cmp_eq_u32 s7, s7\n	s_pack_ll_b32_b16 s6, s8, 1", 0x1FFFF, 1),
    "lanes counted": (
        "v_cmp_gt_u32_e64 s[10:11], 5, v0\n	s_bcnt1_i32_b64 s6, s[10:11]",
        5,
        1,
    ),
    "scalar field": ("s_mov_b32 s7, 0x345\n	s_bfe_u32 s6, s7, 0x40006", 0xD, 1),
    "no field": ("s_mov_b32 s7, -1\n	s_bfe_u32 s6, s7, 0x00003", 0, 0),
    "reversed": ("s_cmp_eq_u32 s7, 0\n	s_brev_b32 s6, 1", 0x80000000, 0),
}


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_instructions(memory: Memory, name: str) -> None:
    """s7 is -1, s8 the largest integer; of the first wave."""
    code, expected, scc = SCALARS[name]
    code = f"""
	s_mov_b32 s7, -1
	s_mov_b32 s8, 0x7fffffff
	{code}
	v_mov_b32_e32 v4, s6
	s_cselect_b32 s6, 1, 0
	v_mov_b32_e32 v5, s6
"""
    found = run(memory, code, pairs(0, 0))[:64]
    assert (found == scc << 32 | expected).all(), hex(int(found[0]))


@pytest.mark.parametrize(
    ("subnormals", "expected"), [(3, TINY / 2), (2, 0), (1, 0), (0, 0)], ids=str
)
def test_subnormals_are_kept_or_flushed_as_the_descriptor_says(
    memory: Memory, subnormals: int, expected: float
) -> None:
    modes = Modes(subnormals32=subnormals)
    for code in ("v_mul_f32_e32 v4, 1.0, v2", "v_fma_f32 v4, v2, 1.0, 0"):
        found = run(
            memory, f"	{code}\n	v_mov_b32_e32 v5, 0\n", pairs(TINY / 2, 0), modes=modes
        )
        assert (found == int(np.float32(expected).view(np.uint32))).all()
    moved = run(memory, "	v_mov_b32_e32 v4, v2\n", pairs(TINY / 2, 0), modes=modes)
    assert (moved == pairs(TINY / 2, 0)).all()


def test_two_numbers_at_once(memory: Memory) -> None:
    """op_sel exchanges the halves of the first source, the constant is in both."""
    code = "	v_pk_fma_f32 v[4:5], v[2:3], v[2:3], 1.0 op_sel:[1,0,0] op_sel_hi:[0,1,0]"
    found = run(memory, code + " neg_lo:[0,0,1]\n", pairs(3.0, 5.0)).view(np.float32)
    assert (found.reshape(-1, 2) == [14.0, 16.0]).all()


def test_two_words_at_once(memory: Memory) -> None:
    found = run(memory, "	v_pk_mov_b32 v[4:5], v[2:3], v[2:3] op_sel:[1,0]\n", pairs(3.0, 5.0))
    assert (found == pairs(5.0, 3.0)).all()


def test_64_bits_and_their_carry(memory: Memory) -> None:
    """v_mad_u64_u32 carries out of 64 bits into a flag of every lane."""
    code = """
	v_mov_b64_e32 v[6:7], -1
	v_mad_u64_u32 v[4:5], vcc, v0, 2, v[6:7]
	v_addc_co_u32_e32 v5, vcc, 0, v5, vcc
"""
    found = run(memory, code, pairs(0, 0))
    lane = np.arange(THREADS)
    expected = (2 * np.maximum(lane, 1) - 1 + 2**32).astype(np.uint64)
    expected[0] = 2**64 - 1
    assert (found == expected).all()


EXCHANGES: dict[str, tuple[str, np.ndarray]] = {
    "to the right": (
        "v_mov_b32_dpp v4, v0 row_shr:3 row_mask:0xf bank_mask:0xf bound_ctrl:1",
        np.where(LANE % 16 >= 3, LANE - 3, 0),
    ),
    "to the right, keeping": (
        "v_mov_b32_dpp v4, v0 row_shr:3 row_mask:0xf bank_mask:0xf",
        np.where(LANE % 16 >= 3, LANE - 3, 1000),
    ),
    "some rows": (
        "v_mov_b32_dpp v4, v0 quad_perm:[0,1,2,3] row_mask:0xa bank_mask:0x3 bound_ctrl:1",
        np.where((LANE // 16 % 2 == 1) & (LANE % 16 < 8), LANE, 1000),
    ),
    "in fours": (
        "v_mov_b32_dpp v4, v0 quad_perm:[2,3,0,1] row_mask:0xf bank_mask:0xf",
        LANE ^ 2,
    ),
    "the row before": (
        "v_mov_b32_dpp v4, v0 row_bcast:15 row_mask:0xf bank_mask:0xf bound_ctrl:1",
        np.where(LANE >= 16, LANE // 16 * 16 - 1, 0),
    ),
    "the lower half": (
        "v_mov_b32_dpp v4, v0 row_bcast:31 row_mask:0xf bank_mask:0xf bound_ctrl:1",
        np.where(LANE >= 32, 31, 0),
    ),
    "swapped": ("ds_swizzle_b32 v4, v0 offset:swizzle(SWAP,16)", LANE ^ 16),
    "taken": (
        "v_sub_u32_e32 v6, 63, v0\n	v_lshlrev_b32_e32 v6, 2, v6\n	ds_bpermute_b32 v4, v6, v0",
        63 - LANE,
    ),
    "halves swapped": (
        "v_add_u32_e32 v6, 0x64, v0\n	v_mov_b32_e32 v4, v0\n	v_permlane32_swap_b32_e32 v4, v6",
        np.where(LANE < 32, LANE, LANE + 68),
    ),
    "rows swapped": (
        "v_add_u32_e32 v6, 0x64, v0\n	v_mov_b32_e32 v4, v0\n	v_permlane16_swap_b32_e32 v4, v6",
        np.where(LANE // 16 % 2 == 0, LANE, LANE + 84),
    ),
    "halves swapped, the second": (
        "v_add_u32_e32 v6, 0x64, v0\n	v_permlane32_swap_b32_e32 v0, v6\n	v_mov_b32_e32 v4, v6",
        np.where(LANE < 32, LANE + 32, LANE + 100),
    ),
    "read": ("v_readlane_b32 s6, v0, 17\n	v_mov_b32_e32 v4, s6", np.full(64, 17)),
    "written": ("v_writelane_b32 v4, 5, 9", np.where(LANE == 9, 5, 1000)),
    "counted": (
        "s_mov_b64 s[6:7], -1\n	v_mbcnt_lo_u32_b32 v4, s6, 0\n	v_mbcnt_hi_u32_b32 v4, s7, v4",
        LANE,
    ),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_lanes_exchange(memory: Memory, name: str) -> None:
    """v0 is the lane, v4 at first 1000; of the first wave."""
    code, expected = EXCHANGES[name]
    start = "	v_mov_b32_e32 v4, 0x3e8\n	v_mov_b32_e32 v5, 0\n"
    found = run(memory, f"{start}	{code}\n", pairs(0, 0))[:64]
    assert (found == expected.astype(np.uint64)).all()


def test_lanes_that_are_off_give_0_or_nothing(memory: Memory) -> None:
    """Only odd lanes are on: what they take from even ones is not there."""
    code = """
	v_mov_b32_e32 v4, 0x3e8
	v_mov_b32_e32 v5, 0x3e8
	v_and_b32_e32 v6, 1, v0
	v_cmp_eq_u32_e32 vcc, 1, v6
	s_and_saveexec_b64 s[6:7], vcc
	v_mov_b32_dpp v4, v0 row_shr:1 row_mask:0xf bank_mask:0xf bound_ctrl:1
	v_mov_b32_dpp v5, v0 row_shr:1 row_mask:0xf bank_mask:0xf
	v_readfirstlane_b32 s8, v0
	s_mov_b64 exec, s[6:7]
	v_add_u32_e32 v5, s8, v5
"""
    found = run(memory, code, pairs(0, 0)).view(np.uint32).reshape(-1, 2)[:64]
    assert (found[:, 0] == np.where(LANE % 2, 0, 1000)).all()
    assert (found[:, 1] == 1001).all()
