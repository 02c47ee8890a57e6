"""Arguments that are refused: as torch.nn.init refuses them, or as the table of deviations says."""

from math import inf, nan

import pytest
import torch

from tritoninit import Key, init

BOTH = ("uniform_", "normal_", "trunc_normal_", "orthogonal_", "xavier_uniform_", "kaiming_normal_")
DTYPES = (
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.float8_e4m3fn,
    torch.float8_e8m0fnu,
    torch.uint16,
    torch.complex64,
    torch.complex32,
)


class Call:
    """One call: a function's name, the tensor's shape and dtype, the arguments."""

    def __init__(self, name, *args, shape=(4, 3), dtype=torch.float32, device="cpu", **kwargs):
        self.name, self.shape, self.dtype, self.device = name, shape, dtype, device
        self.args, self.kwargs = args, kwargs

    def __str__(self):
        extra = [f"{key}={value}" for key, value in self.kwargs.items()]
        arguments = ",".join([str(self.shape), *map(str, self.args), *extra])
        return f"{self.name}({arguments})-{self.dtype}-{self.device}".replace("torch.", "")

    def tensor(self):
        """A tensor whose bytes follow a pattern."""
        tensor = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        if self.device == "cpu":
            memory(tensor).fill_(0x5A)
        return tensor

    def error_of(self, module):
        """What the call raises; the tensor, its version and the random states stay as they were."""
        tensor = self.tensor()
        state, version = torch.get_rng_state(), tensor._version
        generator = self.kwargs.get("generator")
        explicit = generator.get_state() if isinstance(generator, torch.Generator) else state
        with pytest.raises(Exception) as raised:  # noqa: PT011 - compared by the caller
            getattr(module, self.name)(tensor, *self.args, **self.kwargs)
        if module is init:
            assert tensor._version == version
            assert torch.equal(torch.get_rng_state(), state)
            if isinstance(generator, torch.Generator):
                assert torch.equal(generator.get_state(), explicit)
            if self.device == "cpu":
                assert (memory(tensor) == 0x5A).all()
        return raised.value


def memory(tensor):
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())


def refused_as_torch():
    for dtype in DTYPES:
        for name in ("trunc_normal_", "orthogonal_"):
            yield Call(name, dtype=dtype)
        yield Call("uniform_", 2.0, 1.0, dtype=dtype)
        yield Call("trunc_normal_", 0.0, 1.0, 1.0, -1.0, dtype=dtype)
        if not dtype.is_complex:
            for name in ("uniform_", "normal_", "xavier_normal_", "kaiming_uniform_"):
                yield Call(name, dtype=dtype)
            yield Call("sparse_", 0.5, dtype=dtype)
    for a, b in (
        *((2.0, 1.0), (nan, 1.0), (0.0, nan), (-inf, 0.0), (0.0, inf), (inf, inf)),
        *((-3e38, 3e38), (-1e39, 0.0), (0.0, 1e39), (10**400, 10**401)),
        *(("x", 1.0), (0.0, "y"), (None, 1.0), (1.0, None), (1j, 2.0), ([0.0], 1.0)),
    ):
        yield Call("uniform_", a, b)
        yield Call("uniform_", a, b, dtype=torch.float16)
    yield Call("uniform_", -1e5, 0.0, dtype=torch.float16)
    yield Call("uniform_", -6e4, 6e4, dtype=torch.float16)
    for mean, std in (
        *((0.0, -1.0), (0.0, nan), (0.0, -inf), (0, 10**400)),
        *(("x", 1.0), (0.0, "y"), (None, 1.0), (0.0, None), (1j, 1.0), (0.0, 1j)),
    ):
        yield Call("normal_", mean, std)
    for a, b in ((2.0, -2.0), (nan, 2.0), (-2.0, nan), (inf, inf), (1e39, 2e39)):
        yield Call("trunc_normal_", 0.0, 1.0, a, b)
    for name in ("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"):
        for shape in ((), (3,)):
            yield Call(name, shape=shape)
    for name in ("xavier_uniform_", "xavier_normal_"):
        yield Call(name, shape=(0, 0))
        for gain in (nan, -inf, "x", None):
            yield Call(name, gain)
    yield Call("xavier_normal_", -1.0)
    yield Call("xavier_uniform_", -1.0)
    yield Call("xavier_uniform_", 1e300)
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        for mode in ("fan", "", 3, None):
            yield Call(name, mode=mode)
        for nonlinearity in ("gelu", "Relu", None):
            yield Call(name, nonlinearity=nonlinearity)
        for a in ("x", True, nan, [1]):
            yield Call(name, a=a)
        yield Call(name, mode="bad", nonlinearity="bad")
        yield Call(name, mode="bad", shape=(3,))
    for name, args in (("eye_", ()), ("sparse_", (0.5,))):
        for shape in ((), (3,), (3, 3, 3)):
            yield Call(name, *args, shape=shape)
    for shape in ((), (3,), (3, 3), (1,) * 6):
        yield Call("dirac_", shape=shape)
    for groups in (2, 4, 1.0, 2.5, "x", None):
        yield Call("dirac_", groups, shape=(3, 2, 2))
    yield Call("orthogonal_", shape=())
    yield Call("orthogonal_", shape=(3,))
    for std in (-1.0, nan, "x", None):
        yield Call("sparse_", 0.5, std)
    for name in BOTH:
        yield Call(name, bogus=1)
    yield Call("normal_", dtype=torch.int64, device="meta")
    yield Call("normal_", 0.0, -1.0, device="meta")
    for shape in ((3,), (3, 3, 3)):
        yield Call("eye_", shape=shape, device="meta")
        yield Call("sparse_", 0.5, shape=shape, device="meta")
    yield Call("dirac_", 2, shape=(3, 3, 3), device="meta")


@pytest.mark.filterwarnings("ignore:mean is more than 2 std", "ignore:ComplexHalf")
@pytest.mark.parametrize("call", list(refused_as_torch()), ids=str)
def test_the_error_is_torchs(call):
    if torch.__version__ < "2.12" and call.name == "trunc_normal_" and len(call.args) == 4:
        pytest.skip("torch 2.12 rewrote trunc_normal_; before, bounds are checked after scaling")
    ours, torchs = call.error_of(init), call.error_of(torch.nn.init)
    assert type(ours) is type(torchs)
    assert str(ours) == str(torchs)


FINITE = "torch fills the tensor with NaN, infinities or garbage"
CLIPS = "torch takes it for another value silently"
DIVIDES = "torch fails in its arithmetic (ZeroDivisionError, OverflowError, ...)"
TYPES = "torch's text is that of the Tensor method or operator it happens to call"
META = "torch checks these on memory only, so the mistake surfaces when it is materialized"

DEVIATIONS = [
    (FINITE, Call("normal_", nan, 1.0), ValueError, "finite mean and std.*got mean=nan"),
    (FINITE, Call("normal_", inf, 1.0), ValueError, "finite mean and std.*got mean=inf"),
    (FINITE, Call("normal_", 0.0, inf), ValueError, "finite mean and std.*std=inf"),
    (FINITE, Call("normal_", 0.0, 1e39), ValueError, "at most 3.403e.38 .*std=1e.39"),
    (FINITE, Call("normal_", 1e39, 1.0), ValueError, "at most 3.403e.38 .*mean=1e.39"),
    (FINITE, Call("xavier_normal_", inf), ValueError, "finite mean and std"),
    (FINITE, Call("sparse_", 0.5, inf), ValueError, "finite mean and std"),
    (FINITE, Call("orthogonal_", nan), ValueError, "finite gain, got gain=nan"),
    (FINITE, Call("orthogonal_", -inf), ValueError, "finite gain, got gain=-inf"),
    (FINITE, Call("trunc_normal_", nan), ValueError, "finite mean, got mean=nan"),
    (FINITE, Call("trunc_normal_", inf), ValueError, "finite mean, got mean=inf"),
    (FINITE, Call("trunc_normal_", 0.0, nan), ValueError, "finite std > 0, got std=nan"),
    (FINITE, Call("trunc_normal_", 0.0, inf), ValueError, "finite std > 0, got std=inf"),
    (FINITE, Call("trunc_normal_", 0.0, -1.0), ValueError, "finite std > 0, got std=-1.0"),
    (DIVIDES, Call("trunc_normal_", 0.0, 0.0), ValueError, "finite std > 0, got std=0.0"),
    (DIVIDES, Call("dirac_", 0, shape=(3, 2, 2)), ValueError, "positive integer, got 0"),
    (CLIPS, Call("dirac_", -1, shape=(3, 2, 2)), ValueError, "positive integer, got -1"),
    (CLIPS, Call("sparse_", -0.1), ValueError, r"sparsity in \[0, 1\], got -0.1"),
    (CLIPS, Call("sparse_", 1.1), ValueError, r"sparsity in \[0, 1\], got 1.1"),
    (DIVIDES, Call("sparse_", nan), ValueError, r"sparsity in \[0, 1\], got nan"),
    (DIVIDES, Call("sparse_", inf), ValueError, r"sparsity in \[0, 1\], got inf"),
    (TYPES, Call("sparse_", "x"), TypeError, "sparsity must be a number, got str"),
    (TYPES, Call("sparse_", None), TypeError, "sparsity must be a number, got NoneType"),
    (TYPES, Call("trunc_normal_", "x"), TypeError, "mean must be a number, got str"),
    (TYPES, Call("trunc_normal_", 0, None), TypeError, "std must be a number, got NoneType"),
    (TYPES, Call("trunc_normal_", a=1j), TypeError, "a must be a number, got complex"),
    (TYPES, Call("trunc_normal_", b=[1]), TypeError, "b must be a number, got list"),
    (TYPES, Call("orthogonal_", "x"), TypeError, "gain must be a number, got str"),
    (TYPES, Call("orthogonal_", 1j), TypeError, "gain must be a number, got complex"),
    (META, Call("uniform_", 2.0, 1.0, device="meta"), RuntimeError, "from=2 > to=1"),
    (META, Call("trunc_normal_", a=3.0, device="meta"), RuntimeError, "from=3 > to=2"),
    (META, Call("sparse_", 3.0, device="meta"), ValueError, "sparsity"),
    (META, Call("dirac_", -1, shape=(3, 3, 3), device="meta"), ValueError, "positive"),
] + [
    (TYPES, Call(name, generator=value), TypeError, f"torch.Generator, a tritoninit.Key .*{kind}")
    for name in BOTH
    for value, kind in ((3, "int"), ("x", "str"), (torch.ones(2), "Tensor"))
]


@pytest.mark.parametrize(("reason", "call", "kind", "text"), DEVIATIONS, ids=str)
def test_a_deliberate_deviation(reason, call, kind, text):
    error = call.error_of(init)
    assert type(error) is kind
    with pytest.raises(kind, match=text):
        raise error
    try:
        getattr(torch.nn.init, call.name)(call.tensor(), *call.args, **call.kwargs)
    except Exception as torchs:
        assert (type(torchs), str(torchs)) != (kind, str(error))  # noqa: PT017 - else no deviation


@pytest.mark.parametrize("name", [name for name in init.__all__ if name.endswith("_")])
@pytest.mark.parametrize("value", [None, [1.0], 2.0], ids=str)
def test_what_is_not_a_tensor_is_named(name, value):
    args = {"constant_": (1.0,), "sparse_": (0.5,)}.get(name, ())
    with pytest.raises(
        TypeError, match=f"tensor must be a torch.Tensor, got {type(value).__name__}"
    ):
        getattr(init, name)(value, *args)


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(1)], ids=str)
@pytest.mark.parametrize("call", [("normal_", 0.0, -1.0), ("uniform_", 1.0, 0.0), ("sparse_", 2)])
def test_a_refused_call_leaves_its_generator_alone(call, generator):
    Call(*call, generator=generator).error_of(init)


BOXES = [
    ({"global_shape": (8, 3)}, ValueError, "needs global_offset"),
    ({"global_offset": (0, 0)}, ValueError, "needs global_shape"),
    ({"global_offset": 0}, ValueError, "needs global_shape"),
    ({"global_shape": (8, 3), "global_offset": (5, 0)}, ValueError, r"\[5, 9\) .* \[0, 8\)"),
    ({"global_shape": (8, 3), "global_offset": (-1, 0)}, ValueError, "negative"),
    ({"global_shape": (8, -3), "global_offset": (0, 0)}, ValueError, "negative"),
    ({"global_shape": (8, 3), "global_offset": (0,)}, ValueError, "number of dimensions"),
    ({"global_shape": (8, 3, 1), "global_offset": (0, 0, 0)}, ValueError, "dimensions"),
    ({"global_shape": (8, 3), "global_offset": 0}, ValueError, "one-dimensional"),
    ({"global_shape": (8.0, 3), "global_offset": (0, 0)}, TypeError, "tuple of ints"),
    ({"global_shape": (8, 3), "global_offset": (0.5, 0)}, TypeError, "tuple of ints"),
    ({"global_shape": (8, 3), "global_offset": 0.5}, TypeError, "an int or a tuple of ints"),
    ({"global_shape": 24, "global_offset": 0}, TypeError, "global_shape must be a tuple"),
    ({"global_shape": "ab", "global_offset": 0}, TypeError, "global_shape must be a tuple"),
    ({"global_shape": (8, 3), "global_offset": None}, ValueError, "needs global_offset"),
    ({"global_shape": (2**40, 2**40), "global_offset": (0, 0)}, ValueError, r"2\*\*62"),
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", ["uniform_", "kaiming_normal_", "constant_", "zeros_"])
@pytest.mark.parametrize(("box", "kind", "text"), BOXES, ids=str)
def test_an_inconsistent_box_is_refused(name, box, kind, text, device):
    args = (0.5,) if name == "constant_" else ()
    error = Call(name, *args, device=device, **box).error_of(init)
    with pytest.raises(kind, match=text):
        raise error


@pytest.mark.parametrize("start", [-1, 21, 10**9])
def test_a_flat_run_that_leaves_the_tensor_is_refused(start):
    box = {"global_shape": (8, 3), "global_offset": start, "generator": Key(0)}
    error = Call("normal_", shape=(4,), **box).error_of(init)
    with pytest.raises(ValueError, match=rf"flat run \[{start}, {start + 4}\).*\(8, 3\).* 24 "):
        raise error
