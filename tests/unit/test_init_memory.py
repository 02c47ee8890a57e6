"""Tensors whose memory is not a plain stretch of elements are refused before anything happens."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tritoninit import Key, init

RANDOM = {
    **dict.fromkeys(["uniform_", "normal_", "trunc_normal_", "orthogonal_"], ()),
    **dict.fromkeys(["xavier_uniform_", "kaiming_normal_"], ()),
    "sparse_": (0.5,),
}
COMPUTED = {**RANDOM, "eye_": ()}  # not torch's own fill_ and zero_


class Wrapper(torch.Tensor):
    """Shows a shape and keeps its memory in another tensor."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        inner = [a.inner if isinstance(a, Wrapper) else a for a in args]
        func(*inner, **(kwargs or {}))
        return args[0]


@pytest.fixture(autouse=True)
def unchanged_random_state():
    """No test of this module may draw."""
    state = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x: x.to_sparse(), "torch.sparse_coo"),
        (lambda x: x.to_sparse_csr(), "torch.sparse_csr"),
        (lambda x: x.to_mkldnn(), "torch._mkldnn"),
        (lambda x: torch.nested.nested_tensor([x, x[:2]]), "nested"),
        (lambda x: torch.nested.nested_tensor([x, x[:2]], layout=torch.jagged), "torch.jagged"),
        (lambda x: torch.quantize_per_tensor(x, 0.5, 0, torch.quint8), "quantized"),
        (Wrapper, "Wrapper"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # sparse CSR, nested and quantized tensors are prototypes
def test_other_layouts_are_named(name, make, text):
    tensor = make(torch.full((3, 4), 7.0))
    with pytest.raises(TypeError, match=text):
        getattr(init, name)(tensor, *COMPUTED[name])
    if isinstance(tensor, Wrapper):
        assert (tensor.inner == 7).all()


@pytest.mark.parametrize(("name", "args"), [("constant_", (2.0,)), ("ones_", ()), ("zeros_", ())])
def test_constants_reach_a_wrapped_tensor_through_its_own_dispatch(name, args):
    inner = torch.full((3, 4), 7.0)
    getattr(init, name)(Wrapper(inner), *args)
    assert (inner == {"constant_": 2, "ones_": 1, "zeros_": 0}[name]).all()


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("randomness", ["error", "different", "same"])
def test_tensors_inside_vmap_are_refused(name, randomness):
    batch = torch.full((2, 3, 4), 7.0)

    def initialize(tensor):
        return getattr(init, name)(tensor, *COMPUTED[name])

    with pytest.raises(TypeError, match="function transform"):
        torch.func.vmap(initialize, randomness=randomness)(batch)
    assert (batch == 7).all()


@pytest.mark.parametrize("name", COMPUTED)
def test_tensors_inside_grad_and_functionalize_are_refused(name):
    tensor = torch.full((3, 4), 7.0)

    def initialize(x):
        return getattr(init, name)(x, *COMPUTED[name]).sum()

    for transform in (torch.func.grad, torch.func.functionalize):
        with pytest.raises(TypeError, match="function transform"):
            transform(initialize)(tensor)
    assert (tensor == 7).all()


@pytest.mark.parametrize("name", COMPUTED)
def test_freed_memory_is_not_written(name):
    tensor = torch.full((3, 4), 7.0)
    tensor.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=r"\(3, 4\) needs 48 bytes .* holds 0"):
        getattr(init, name)(tensor, *COMPUTED[name])
    part = torch.full((3, 4), 7.0)[1:]
    part.untyped_storage().resize_(40)
    with pytest.raises(RuntimeError, match=r"needs 48 bytes .* holds 40"):
        getattr(init, name)(part, *COMPUTED[name])


@pytest.mark.parametrize("name", [*COMPUTED, "dirac_"])
def test_memory_that_overlaps_itself_is_refused_with_torchs_text(name):
    size = (3, 1, 2) if name == "dirac_" else (3, 1)
    tensor = torch.full(size, 7.0).expand(3, 4, *size[2:])
    with pytest.raises(RuntimeError) as torchs:
        tensor.normal_(generator=torch.Generator())
    version = tensor._version
    with pytest.raises(RuntimeError) as ours:
        getattr(init, name)(tensor, *COMPUTED.get(name, ()))
    assert str(ours.value) == str(torchs.value)
    assert tensor._version == version
    assert (tensor == 7).all()


@pytest.mark.parametrize(("name", "value"), [("constant_", 2.0), ("ones_", 1.0), ("zeros_", 0.0)])
def test_constants_may_fill_memory_that_overlaps_itself_as_in_torch(name, value):
    tensor = torch.full((3, 1), 7.0).expand(3, 4)
    getattr(init, name)(tensor, *((value,) if name == "constant_" else ()))
    assert (tensor == value).all()


@pytest.mark.parametrize("name", [*COMPUTED, "constant_", "zeros_", "ones_"])
def test_inference_tensors_are_refused_outside_inference_mode_with_torchs_text(name):
    with torch.inference_mode():
        tensor, other = torch.full((3, 4), 7.0), torch.empty(1)
    with pytest.raises(RuntimeError) as torchs:
        other.fill_(0)
    args = COMPUTED.get(name, (2.0,) if name == "constant_" else ())
    with pytest.raises(RuntimeError) as ours:
        getattr(init, name)(tensor, *args)
    assert str(ours.value) == str(torchs.value)
    assert (tensor == 7).all()


@pytest.mark.parametrize("name", RANDOM)
def test_a_fake_tensor_is_returned_as_it_is(name):
    with FakeTensorMode():
        tensor = torch.empty(3, 4)
        assert getattr(init, name)(tensor, *RANDOM[name]) is tensor
    assert getattr(init, name)(tensor, *RANDOM[name]) is tensor


@pytest.mark.parametrize("name", [name for name in init.__all__ if name.endswith("_")])
def test_a_meta_tensor_is_returned_as_it_is(name):
    args = {"sparse_": (0.5,), "constant_": (2.0,)}.get(name, ())
    tensor = torch.empty((4, 2, 2) if name == "dirac_" else (4, 2), device="meta")
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()
    kwargs = (
        {}
        if name in {"constant_", "ones_", "zeros_", "eye_", "dirac_"}
        else {"generator": generator}
    )
    assert getattr(init, name)(tensor, *args, **kwargs) is tensor
    assert torch.equal(generator.get_state(), state)


def test_a_box_of_a_meta_tensor_is_checked():
    tensor = torch.empty(4, 2, device="meta")
    box = {"global_shape": (8, 2), "global_offset": (4, 0)}
    assert init.normal_(tensor, generator=Key(0), **box) is tensor
    with pytest.raises(ValueError, match="leaves global_shape"):
        init.normal_(tensor, generator=Key(0), global_shape=(8, 2), global_offset=(5, 0))


@pytest.mark.parametrize("name", ["constant_", "zeros_", "ones_"])
def test_constants_leave_no_graph(name):
    value = torch.tensor(3.0, requires_grad=True)
    for tensor in (torch.empty(3), torch.empty(3, requires_grad=True)):
        view = tensor.view(1, 3)
        for target in (tensor, view):
            given = (value,) if name == "constant_" else ()
            version = target._version
            getattr(init, name)(target, *given)
            assert target._version == version + 1
        assert tensor.is_leaf
        assert tensor.grad_fn is None
        assert view.requires_grad == tensor.requires_grad
    held = torch.ones(3, requires_grad=True) * 2
    product = held * held
    getattr(init, name)(held, *(() if name != "constant_" else (0.5,)))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()
