"""What each PTX instruction computes, for all lanes at once ("PTX ISA", chapter 9).

Registers hold bits; the type in an instruction's name says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.machine.memory import Array
from tests.ptx.accesses import ACCESSES, Operands, Operation
from tests.ptx.lanes import Lanes, dtype_of, width_of


def simple(compute: Callable[..., Any]) -> Operation:
    """An instruction whose operands and result have the last type of its name."""

    def run(lanes: Lanes, parts: list[str], operands: Operands) -> None:
        kind = parts[-1]
        values = [lanes.read(operand, kind) for operand in operands[1:]]
        lanes.write(operands[0], compute(*values), kind)

    return run


def multiply(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """mul and mad: .lo, .hi and .wide of integers; .rn of numbers."""
    kind = parts[-1]
    a, b = (lanes.read(operand, kind) for operand in operands[1:3])
    if parts[1] == "wide":
        result = kind[0] + str(2 * width_of(kind))
        product = a.astype(dtype_of(result)) * b.astype(dtype_of(result))
    elif parts[1] == "hi":
        assert kind == "u32"
        result, product = kind, (a.astype(np.uint64) * b.astype(np.uint64)) >> np.uint64(32)
    else:
        assert parts[1] == ("rn" if kind[0] == "f" else "lo")
        result, product = kind, a * b
    if parts[0] == "mad":
        product = product + lanes.read(operands[3], result)
    lanes.write(operands[0], product, result)


def fused(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    assert parts[1:] == ["rn", "f32"]
    a, b, c = (lanes.read(operand, "f32") for operand in operands[1:])
    lanes.write(operands[0], lanes.memory.fused(a, b, c, lanes.count), "f32")


def shift_left(a: Array, by: Array, bits: int) -> Array:
    return np.where(by < bits, a << np.minimum(by, bits - 1).astype(a.dtype), 0).astype(a.dtype)


def shift_right(a: Array, by: Array, bits: int) -> Array:
    """Arithmetic of signed types: by as many bits as there are, or more, the sign remains."""
    moved = a >> np.minimum(by, bits - 1).astype(a.dtype)
    return moved if a.dtype.kind == "i" else np.where(by < bits, moved, 0).astype(a.dtype)


def shift(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    move = shift_left if parts[0] == "shl" else shift_right
    kind = parts[-1]
    a, by = lanes.read(operands[1], kind), lanes.read(operands[2], "u32")
    lanes.write(operands[0], move(a, by, width_of(kind)), kind)


def extract(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """bfe d, a, begin, length of constants that stay inside a."""
    kind = parts[-1]
    a = lanes.read(operands[1], kind)
    begin, length = (int(operand) for operand in operands[2:])
    bits = width_of(kind)
    assert 0 < length <= bits - begin
    high = shift_left(a, np.uint32(bits - begin - length), bits)
    lanes.write(operands[0], shift_right(high, np.uint32(bits - length), bits), kind)


def divide(a: Array, b: Array) -> Array:
    """Of integers towards 0; PTX leaves a division of one by 0 open."""
    if a.dtype.kind == "f":
        return a / b
    safe = np.where(b == 0, 1, b).astype(b.dtype)
    if a.dtype.kind == "u":
        return a // safe
    quotient = a // safe
    return quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0)))


def remainder(a: Array, b: Array) -> Array:
    safe = np.where(b == 0, 1, b).astype(b.dtype)
    return a - divide(a, safe) * safe


def least(a: Array, b: Array) -> Array:
    """Of numbers: the one that is no NaN, and -0 below +0."""
    if a.dtype.kind != "f":
        return np.minimum(a, b)
    below = (a < b) | ((a == b) & np.signbit(a)) | np.isnan(b)
    return np.where(below, a, b)


def greatest(a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        return np.maximum(a, b)
    above = (a > b) | ((a == b) & np.signbit(b)) | np.isnan(b)
    return np.where(above, a, b)


def negative(a: Array) -> Array:
    if a.dtype.kind != "f":
        return np.zeros_like(a) - a
    bits: npt.NDArray[Any] = a.view(f"u{a.dtype.itemsize}")
    return (bits ^ bits.dtype.type(1 << (8 * a.dtype.itemsize - 1))).view(a.dtype)


def rounded_root(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """rsqrt.approx.ftz.f32: anything within the error that the PTX ISA states."""
    assert parts[1:] == ["approx", "ftz", "f32"]
    x = lanes.read(operands[1], "f32")
    lanes.write(operands[0], lanes.reciprocal_root(x), "f32")


def compare(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    kind = parts[-1]
    a, b = (lanes.read(operand, kind) for operand in operands[1:])
    tests = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"}
    tests |= {"gt": "greater", "ge": "greater_equal"}
    lanes.write(operands[0], getattr(np, tests[parts[1]])(a, b), "pred")


def select(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    kind = parts[-1]
    a, b = (lanes.read(operand, kind) for operand in operands[1:3])
    lanes.write(operands[0], np.where(lanes.read(operands[3], "pred"), a, b), kind)


def convert(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    *mode, to, source = parts[1:]
    towards_zero = source[0] == "f" and to[0] in "us"
    assert mode == (["rzi"] if towards_zero else ["rn"] if to[0] in "fb" else [])
    if to in ("bf16x2", "f16x2"):
        narrow = to_bfloat16 if to == "bf16x2" else to_float16
        high, low = (narrow(lanes.read(operand, source)) for operand in operands[1:])
        packed = high.astype(np.uint32) << np.uint32(16) | low
        lanes.write(operands[0], packed, "b32")
        return
    value = lanes.read(operands[1], source)
    if towards_zero:
        limits = np.iinfo(dtype_of(to))  # beyond which PTX saturates
        inside = np.where(lanes.on, value, 0).astype(np.float64)
        assert ((inside > limits.min - 1.0) & (inside < limits.max + 1.0)).all()
        lanes.write(operands[0], inside.astype(dtype_of(to)), to)
    elif to == "bf16":
        exact = value.astype(np.float32)
        assert (exact == value).all()
        lanes.write(operands[0], to_bfloat16(exact), "b16")
    else:
        lanes.write(operands[0], value.astype(dtype_of(to)), to)


def to_bfloat16(x: Array) -> npt.NDArray[np.uint16]:
    """The nearest, ties to even: half of what is cut off is added, less one where even."""
    bits = x.view(np.uint32)
    even = bits >> np.uint32(16) & np.uint32(1)
    high = (bits + (np.uint32(0x7FFF) + even)) >> np.uint32(16)
    return np.where(np.isnan(x), np.uint32(0x7FFF), high).astype(np.uint16)


def to_float16(x: Array) -> npt.NDArray[np.uint16]:
    return x.astype(np.float16).view(np.uint16)


def move(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """Packs or unpacks where one operand is a vector; the first element is the lowest."""
    kind = parts[-1]
    into, source = operands
    if isinstance(source, tuple):
        bits = width_of(kind) // len(source)
        whole = np.zeros(lanes.count, dtype_of(kind))
        for n, name in enumerate(source):
            whole |= lanes.read(name, f"b{bits}").astype(whole.dtype) << whole.dtype.type(n * bits)
        lanes.write(into, whole, kind)
    elif isinstance(into, tuple):
        bits = width_of(kind) // len(into)
        whole = lanes.read(source, kind)
        for n, name in enumerate(into):
            lanes.write(
                name, (whole >> whole.dtype.type(n * bits)).astype(f"u{bits // 8}"), f"b{bits}"
            )
    else:
        lanes.write(into, lanes.read(source, kind), kind)


def permute(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """prmt: each byte of d is the byte of (b, a) that a nibble of c names."""
    a, b, c = (lanes.read(operand, "b32").astype(np.uint64) for operand in operands[1:])
    whole = b << np.uint64(32) | a
    result = np.zeros(lanes.count, np.uint64)
    for n in range(4):
        nibble = c >> np.uint64(4 * n) & np.uint64(15)
        assert (nibble < 8).all()  # 8 asks for copies of a sign
        byte = whole >> (nibble * np.uint64(8)) & np.uint64(255)
        result |= byte << np.uint64(8 * n)
    lanes.write(operands[0], result, "b32")


def shuffle(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """shfl.sync of whole warps: by exclusive or, or from lanes further down."""
    assert lanes.whole_warps()
    assert parts[1] == "sync"
    assert int(operands[4]) == -1
    by = int(operands[2])
    lane = np.arange(32)
    if parts[2] == "bfly":
        assert int(operands[3]) == 31
        source = lane ^ by
    else:
        assert parts[2] == "up"
        assert int(operands[3]) == 0
        source = np.where(lane >= by, lane - by, lane)
    values = lanes.read(operands[1], "b32").reshape(-1, 32)
    lanes.write(operands[0], values[:, source].reshape(-1), "b32")


OPERATIONS: dict[str, Operation] = {
    "add": simple(np.add),
    "sub": simple(np.subtract),
    "and": simple(np.bitwise_and),
    "or": simple(np.bitwise_or),
    "xor": simple(np.bitwise_xor),
    "not": simple(np.invert),
    "neg": simple(negative),
    "abs": simple(np.abs),
    "min": simple(least),
    "max": simple(greatest),
    "popc": simple(np.bitwise_count),
    "sqrt": simple(np.sqrt),
    "div": simple(divide),
    "rem": simple(remainder),
    "mul": multiply,
    "mad": multiply,
    "fma": fused,
    "rsqrt": rounded_root,
    "shl": shift,
    "shr": shift,
    "bfe": extract,
    "setp": compare,
    "selp": select,
    "cvt": convert,
    "mov": move,
    "prmt": permute,
    "shfl": shuffle,
    **ACCESSES,
}
