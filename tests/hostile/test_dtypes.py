"""Every dtype of torch: filled as torch.nn.init fills it, or refused before anything is written."""

import pytest
import torch

from tests.hostile.calls import ALL, bits, call, outcome, shape_for
from tritoninit import init

DTYPES = sorted({v for v in vars(torch).values() if isinstance(v, torch.dtype)}, key=str)
QUANTIZED = [dtype for dtype in DTYPES if str(dtype).startswith(("torch.qint", "torch.quint"))]
DRAWN = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
PLAIN = [dtype for dtype in DTYPES if dtype not in QUANTIZED]
# Filled here and refused by torch: no LAPACK in half precision, no torch.eye for these.
MORE = {("orthogonal_", dtype) for dtype in (torch.float16, torch.bfloat16)} | {
    ("eye_", dtype) for dtype in (torch.complex32, torch.uint16, torch.uint32, torch.uint64)
}


def of_dtype(shape, dtype):
    """A tensor whose bytes follow a pattern."""
    numel = torch.Size(shape).numel()
    memory = torch.full((numel * max(1, dtype.itemsize),), 0x35, dtype=torch.uint8)
    return memory.view(dtype).view(shape)


def test_the_dtypes_are_found():
    assert len(PLAIN) >= 30
    assert len(QUANTIZED) >= 5


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", PLAIN, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_the_outcome_is_torchs(name, dtype):
    tensor, other = of_dtype(shape_for(name), dtype), of_dtype(shape_for(name), dtype)
    before, version = bits(tensor), tensor._version
    state = torch.get_rng_state()
    torchs = outcome(lambda: call(name, other, torch.nn.init))
    torch.set_rng_state(state)
    ours = outcome(lambda: call(name, tensor))
    if (name, dtype) in MORE:
        assert torchs[0] is NotImplementedError
        assert ours[0] == "ok"
    elif torchs[0] == "ok":
        assert ours[0] == "ok"
        fixed = name in ("eye_", "dirac_", "constant_", "ones_", "zeros_")
        assert not fixed or bits(tensor) == bits(other)
    else:
        assert ours == torchs
    if ours[0] == "ok":
        if dtype in DRAWN:
            assert tensor.isfinite().all()
            assert name == "zeros_" or tensor.any()
    else:
        assert bits(tensor) == before
        assert tensor._version == version
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore:.*quantize", "ignore:.*TypedStorage")
@pytest.mark.parametrize("name", ALL)
def test_quantized_tensors_take_constants_alone(name):
    tensor = torch.quantize_per_tensor(torch.ones(shape_for(name)), 0.5, 0, torch.quint8)
    if name in ("constant_", "ones_"):
        expected = call(name, tensor.clone(), torch.nn.init)
        assert torch.equal(call(name, tensor).int_repr(), expected.int_repr())
    elif name == "zeros_":
        torchs = outcome(lambda: call(name, tensor.clone(), torch.nn.init))
        assert outcome(lambda: call(name, tensor)) == torchs
    else:
        with pytest.raises(TypeError, match="must not be quantized, got dtype"):
            call(name, tensor)
        assert (tensor.int_repr() == 2).all()


@pytest.mark.parametrize("dtype", PLAIN, ids=str)
@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "constant_", "eye_"])
def test_a_meta_tensor_of_any_dtype_is_left_or_refused_as_memory_is(name, dtype):
    tensor = torch.empty(shape_for(name), dtype=dtype, device="meta")
    state = torch.get_rng_state()
    kind, result = outcome(lambda: call(name, tensor))
    assert result is tensor or kind in (RuntimeError, NotImplementedError)
    assert torch.equal(torch.get_rng_state(), state)
    if dtype in DRAWN:
        assert kind == "ok"


def test_the_default_dtype_is_of_no_account():
    expected = init.normal_(torch.empty(6), generator=torch.Generator().manual_seed(1))
    try:
        torch.set_default_dtype(torch.float64)
        tensor = torch.empty(6, dtype=torch.float32)
        init.normal_(tensor, generator=torch.Generator().manual_seed(1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(tensor, expected)
