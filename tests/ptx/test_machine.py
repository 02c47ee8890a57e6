"""The machine against small kernels whose results can be said without it."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.machine.memory import Memory, build
from tests.ptx.machine import Machine
from tests.ptx.program import parse

COMPILER = os.environ.get("CC", "gcc")
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")
THREADS = 64


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    return build(tmp_path_factory.mktemp("ptx"))


def run(
    memory: Memory, code: str, given: np.ndarray, programs: int = 1, rsqrt: str = "nearest"
) -> np.ndarray:
    """Every thread's x is 8 bytes of ``given`` at %rd2; what it leaves there is the result.

    %r1 is the number of the thread in its program, %r2 that of the program.
    """
    held = np.ascontiguousarray(given).view(np.uint64).reshape(-1).copy()
    assert held.size == programs * THREADS
    ptx = f"""
.visible .entry kernel(
	.param .u64 .ptr .global .align 1 kernel_param_0
)
.reqntid {THREADS}
{{
	.reg .pred 	%p<9>;
	.reg .b16 	%rs<9>;
	.reg .b32 	%r<19>;
	.reg .b64 	%rd<19>;
	ld.param.b64 	%rd1, [kernel_param_0];
	mov.u32 	%r1, %tid.x;
	mov.u32 	%r2, %ctaid.x;
	mad.lo.s32 	%r3, %r2, {THREADS}, %r1;
	mad.wide.u32 	%rd2, %r3, 8, %rd1;
	ld.global.b64 	%rd3, [%rd2];
{code}
	ret;
}}
"""
    machine = Machine(parse(ptx), memory, shared=1024, rsqrt=rsqrt)
    address = held.ctypes.data
    machine.launch(programs, [address.to_bytes(8, "little")])
    return held


def bits(*values: float) -> np.ndarray:
    """A float32 pair for every thread, cycled."""
    return np.resize(np.array(values, np.float32).view(np.uint64), THREADS)


def test_lanes_part_and_meet(memory: Memory) -> None:
    """Each lane loops as often as its number, odd ones go another way, all are counted after."""
    code = """
	mov.b32 	%r4, 0;
	mov.b32 	%r5, 0;
$L_loop:
	setp.ge.s32 	%p1, %r4, %r1;
	@%p1 bra 	$L_after;
	add.s32 	%r4, %r4, 1;
	and.b32 	%r6, %r4, 1;
	setp.eq.b32 	%p2, %r6, 0;
	@!%p2 bra 	$L_odd;
	add.s32 	%r5, %r5, 100;
	bra.uni 	$L_loop;
$L_odd:
	add.s32 	%r5, %r5, 1;
	bra.uni 	$L_loop;
$L_after:
	shfl.sync.bfly.b32 	%r7, %r5, 1, 31, -1;
	cvt.u64.u32 	%rd4, %r7;
	st.global.b64 	[%rd2], {%rd4};
"""
    found = run(memory, code, np.zeros(2 * THREADS, np.uint64), programs=2)
    counts = np.arange(THREADS)
    expected = counts // 2 * 100 + (counts + 1) // 2
    assert (found == np.tile(expected.reshape(-1, 2)[:, ::-1].reshape(-1), 2)).all()


def test_shared_memory_is_a_programs_own_and_barriers_hold(memory: Memory) -> None:
    """The two halves of a program write at different times and read what the other wrote."""
    code = """
	mov.b32 	%r4, global_smem;
	shl.b32 	%r5, %r1, 3;
	add.s32 	%r6, %r4, %r5;
	setp.gt.s32 	%p1, %r1, 31;
	@%p1 bra 	$L_wait;
	add.s64 	%rd3, %rd3, 1;
	add.s64 	%rd3, %rd3, 1;
$L_wait:
	st.shared.b64 	[ %r6 + 0 ], %rd3;
	bar.sync 	0;
	xor.b32 	%r7, %r6, 256;
	ld.shared.b64 	%rd4, [%r7];
	st.global.b64 	[%rd2], {%rd4};
"""
    found = run(memory, code, np.arange(2 * THREADS, dtype=np.uint64), programs=2)
    own = np.arange(2 * THREADS).reshape(2, 2, 32)
    own[:, 0] += 2
    assert (found == own[:, ::-1].reshape(-1)).all()


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("st.global.v2.b64 [ %rd2 + 0 ], { %rd3, %rd3 };", "16 bytes at .* not aligned"),
        ("ld.global.b64 %rd4, [ %rd2 + 4 ];", "not aligned"),
        ("mov.b32 %r4, 1024; st.shared.b32 [ %r4 + 0 ], %r1;", "outside the 1024 shared bytes"),
    ],
)
def test_accesses_that_would_fail_are_errors(memory: Memory, access: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(memory, access, np.zeros(THREADS, np.uint64))


def test_lanes_at_different_barriers_are_an_error(memory: Memory) -> None:
    code = """
	setp.gt.s32 	%p1, %r1, 31;
	@%p1 bra 	$L_other;
	bar.sync 	0;
	bra.uni 	$L_end;
$L_other:
	bar.sync 	0;
$L_end:
"""
    with pytest.raises(ValueError, match="different barriers"):
        run(memory, code, np.zeros(THREADS, np.uint64))


def test_an_unknown_instruction_is_an_error(memory: Memory) -> None:
    with pytest.raises(KeyError, match="tanh"):
        run(memory, "tanh.approx.f32 %r4, %r1;", np.zeros(THREADS, np.uint64))


def test_what_was_not_written_is_noise(memory: Memory) -> None:
    found = run(memory, "st.global.b64 [%rd2], {%rd7};", np.zeros(THREADS, np.uint64))
    assert np.unique(found).size == THREADS


UNPACK = "mov.b64 	{%r4, %r5}, %rd3;\n"
CASES: dict[str, tuple[str, float, float, int]] = {
    # (1 + 2**-12)**2 - 1 - 2**-11 is 2**-24 if it is not rounded in between
    "fma": ("fma.rn.f32 %r6, %r4, %r4, %r5;", 1 + 2**-12, -1 - 2**-11, 0x33800000),
    "product and sum": (
        "mul.rn.f32 %r6, %r4, %r4; add.rn.f32 %r6, %r6, %r5;",
        1 + 2**-12,
        -1 - 2**-11,
        0,
    ),
    "bfloat16, a tie to even": (
        "cvt.rn.bf16.f32 %rs1, %r4; cvt.u32.u16 %r6, %rs1;",
        1 + 2**-8,
        0,
        0x3F80,
    ),
    "bfloat16, a tie up": (
        "cvt.rn.bf16.f32 %rs1, %r4; cvt.u32.u16 %r6, %rs1;",
        1 + 3 * 2**-8,
        0,
        0x3F82,
    ),
    "float16, infinite": ("cvt.rn.f16.f32 %rs1, %r4; cvt.u32.u16 %r6, %rs1;", 65520.0, 0, 0x7C00),
    "two bfloat16": ("cvt.rn.bf16x2.f32 %r6, %r4, %r5;", 2.0, -1.0, 0x4000BF80),
    "the sign of 0": ("neg.f32 %r6, %r4;", 0.0, 0, 0x80000000),
    "min of zeros": ("min.f32 %r6, %r4, %r5;", 0.0, -0.0, 0x80000000),
    "max of a NaN": ("max.f32 %r6, %r4, %r5;", float("nan"), -3.0, 0xC0400000),
    "shift by the width": ("shl.b32 %r6, %r4, 32;", 1.0, 0, 0),
    "arithmetic shift by more": ("shr.s32 %r6, %r4, 40;", -1.0, 0, 0xFFFFFFFF),
    "signed field": ("bfe.s32 %r6, %r4, 23, 9;", -1.0, 0, 0xFFFFFF7F),
    "signed quotient": ("div.s32 %r6, -7, 2;", 0, 0, 0xFFFFFFFD),
    "signed remainder": ("rem.s32 %r6, -7, 2;", 0, 0, 0xFFFFFFFF),
    "high half": ("mul.hi.u32 %r6, %r4, -1;", 1.0, 0, 0x3F7FFFFF),
    "bytes": ("prmt.b32 %r6, %r4, %r5, 0x7610;", 1.0, -2.0, 0xC0000000),
    "ones": ("popc.b32 %r6, %r4;", 1.0, 0, 7),
    "unsigned to float32": ("cvt.rn.f32.u32 %r6, -129;", 0, 0, 0x4F7FFFFF),
    "towards 0": ("cvt.rzi.s32.f32 %r6, %r4;", -2.75, 0, 0xFFFFFFFE),
    "a tie of integers": ("cvt.rn.f32.u32 %r6, -128;", 0, 0, 0x4F800000),
}


@pytest.mark.parametrize("name", CASES)
def test_instructions(memory: Memory, name: str) -> None:
    code, a, b, expected = CASES[name]
    store = "cvt.u64.u32 %rd4, %r6; st.global.b64 [%rd2], {%rd4};"
    assert (run(memory, UNPACK + code + store, bits(a, b)) == expected).all()


@pytest.mark.parametrize("rsqrt", ["nearest", "low", "high", "any"])
def test_reciprocal_roots_stay_within_the_stated_error(memory: Memory, rsqrt: str) -> None:
    code = f"{UNPACK} rsqrt.approx.ftz.f32 %r6, %r4; mov.b64 %rd4, {{%r6, %r4}};"
    x = np.random.default_rng(1).uniform(1, 4, (64 * THREADS, 2)).astype(np.float32)
    found = run(memory, code + "st.global.b64 [%rd2], {%rd4};", x, 64, rsqrt).view(np.float32)
    exact = 1 / np.sqrt(x[:, 0].astype(np.float64))
    error = found[::2] / exact - 1
    assert np.abs(error).max() <= 2.0**-22.9
    assert (np.abs(error).max() > 2.0**-23.2) == (rsqrt != "nearest")
    if rsqrt in ("low", "high"):
        assert (np.sign(error) == (1 if rsqrt == "high" else -1)).mean() > 0.9
