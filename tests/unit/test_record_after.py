"""What becomes of a record: copies, storage, threads, later records, and writes it cannot see."""

import copy
import inspect
import io
import threading

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard

import tritoninit
from tests.distributed.fake import fake_mesh, fake_rank
from tests.unit.constructed import key, recipes, recorded
from tests.unit.models import assert_equal, values_of
from tritoninit import init
from tritoninit.recipe import Constant
from tritoninit.recording import RecordError


class Model(nn.Module):
    """Constructors whose values reset_parameters would not give."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(8, 2)
        self.scale = nn.Parameter(torch.randn(9) * 3)
        self.register_buffer("steps", torch.arange(4.0))
        with torch.no_grad():
            self.linear.weight.mul_(0.5)
        nn.init.ones_(self.linear.bias)


WRITES = {
    "trunc_normal_": {},
    "orthogonal_": {},
    "sparse_": {"sparsity": 0.5},
    "normal_": {},
    "eye_": {},
    "constant_": {"val": 2.0},
    "kaiming_uniform_": {},
}


@pytest.mark.parametrize("library", [nn.init, init], ids=["torch", "tritoninit"])
@pytest.mark.parametrize("name", WRITES)
def test_an_initializer_called_after_the_record_is_not_lost(name, library):
    model = recorded(Model)
    getattr(library, name)(model.linear.weight, **WRITES[name])
    with pytest.raises(RecordError, match=r"linear\.weight .* written after record\(\) ended"):
        tritoninit.plan(model)


def test_dirac_after_the_record_is_not_lost():
    model = recorded(lambda: nn.Conv1d(3, 3, 3))
    nn.init.dirac_(model.weight)
    with pytest.raises(RecordError, match=r"weight .* written after"):
        tritoninit.plan(model)


def test_initializers_of_torch_are_what_they_were():
    recorded(Model)
    names = list(inspect.signature(nn.init.trunc_normal_).parameters)
    assert names[:5] == ["tensor", "mean", "std", "a", "b"]
    assert list(inspect.signature(nn.init.orthogonal_).parameters)[:2] == ["tensor", "gain"]
    torch.manual_seed(0)
    drawn = nn.init.trunc_normal_(torch.empty(100, device="cpu"), std=0.5, a=-1.0, b=1.0)
    assert 0.3 < float(drawn.std()) < 0.5
    assert float(drawn.abs().max()) <= 1


def test_what_is_written_to_shards_or_before_sharding_is_not_lost():
    with fake_rank(0, 2):
        mesh = fake_mesh((2,))
        model = recorded(Model)
        fully_shard(model, mesh=mesh)
        assert tritoninit.plan(model).fills[0].sharding
        nn.init.constant_(model.linear.bias, 3.0)
        with pytest.raises(RecordError, match=r"linear\.bias .* written after"):
            tritoninit.plan(model)
        model = recorded(Model)
        nn.init.constant_(model.linear.bias, 3.0)
        fully_shard(model, mesh=mesh)
        with pytest.raises(RecordError, match=r"linear\.bias .* written after"):
            tritoninit.plan(model)


def test_a_deep_copy_holds_what_the_model_holds():
    model = recorded(Model)
    copied = copy.deepcopy(model)
    both = nn.ModuleList([copied, copy.deepcopy(model)])
    for each in (model, both):
        tritoninit.materialize(each, "cpu")
    ones = torch.ones(4)
    assert torch.equal(model.linear.bias, ones)
    assert torch.equal(both[0].linear.bias, ones)
    assert_equal(values_of(both[0]), values_of(both[1]))
    expected = init.normal_(torch.empty(9), generator=key("scale")) * 3
    assert torch.equal(model.scale, expected)


def test_a_copy_that_is_written_to_is_refused():
    copied = copy.deepcopy(recorded(Model))
    with torch.no_grad():
        copied.scale.zero_()
    with pytest.raises(RecordError, match=r"scale .* written after"):
        tritoninit.plan(copied)


def stored(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def test_a_stored_module_has_lost_its_record_and_says_so():
    with pytest.raises(RecordError, match="the record is not stored"):
        tritoninit.plan(stored(recorded(Model)))
    model = recorded(Model)
    tritoninit.materialize(model, "cpu")
    loaded = stored(model)
    assert_equal(values_of(loaded), values_of(model))
    assert tritoninit.plan(loaded).fills == ()


def test_a_model_that_goes_back_to_meta_is_filled_again():
    model = recorded(Model)
    tritoninit.materialize(model, "cpu")
    before = values_of(model)
    tritoninit.materialize(model.to("meta"), "cpu")
    assert_equal(values_of(model), before)


def test_a_recorded_module_in_a_later_record():
    body = recorded(Model)
    outer = recorded(lambda: nn.Sequential(body, nn.Linear(3, 3)))
    plan = tritoninit.plan(outer)
    assert recipes(plan, "0.linear.bias") == [Constant(1.0)]

    def writes():
        nn.init.zeros_(body.linear.bias)
        return nn.Sequential(body)

    with pytest.raises(RecordError, match=r"bias .* an earlier record\(\) made, was written"):
        recorded(writes)


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def init_weights(self):
        nn.init.constant_(self.linear.weight, 2.0)


def test_init_weights_is_counted_for_each_module():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.ran, self.waits = Whole(), Whole()
            self.ran.init_weights()
            with torch.no_grad():
                self.ran.linear.weight.add_(1)

    model = recorded(Two)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.ran.linear.weight, torch.full((3, 3), 3.0))
    assert torch.equal(model.waits.linear.weight, torch.full((3, 3), 2.0))


def test_threads_record_one_after_the_other():
    built, errors = {}, []

    def work(index):
        try:
            built[index] = recorded(Model)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    plans = [tritoninit.plan(built[index]) for index in range(3)]
    assert plans[0] == plans[1] == plans[2]
    assert len(plans[0].fills) == 8


def test_a_thread_beside_the_record_builds_on_its_own_device():
    built = []

    def beside():
        linear = nn.Linear(30, 30)
        nn.init.trunc_normal_(linear.weight)
        built.append(linear)

    def build():
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join(30)
        return nn.Linear(3, 3)

    model = recorded(build)
    assert model.weight.is_meta
    assert built[0].weight.device.type == "cpu"
    assert float(built[0].weight.detach().std()) > 0.5


def test_an_error_inside_leaves_no_record_open():
    with pytest.raises(KeyError), tritoninit.record():
        raise KeyError
    assert torch.empty(1).device.type == "cpu"
    assert len(tritoninit.plan(recorded(Model)).fills) == 8


def test_many_tensors_that_escaped_meta_stay_apart():
    class Escaped(nn.Module):
        def __init__(self):
            super().__init__()
            for size in range(1, 40):
                self.register_parameter(f"w{size}", nn.Parameter(torch.Tensor(size).fill_(size)))

    for _ in range(5):
        model = recorded(Escaped)
        tritoninit.materialize(model, "cpu")
        for size in range(1, 40):
            assert torch.equal(getattr(model, f"w{size}"), torch.full((size,), float(size)))


def test_what_is_skipped_decides_no_other_draw():
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            x, y = torch.randn(50), torch.randn(50)
            self.a, self.b = nn.Parameter(x + y), nn.Parameter(x - y)

    whole, part = recorded(Sums), recorded(Sums)
    tritoninit.materialize(whole, "cpu")
    tritoninit.materialize(part, "cpu", skip=["a"])
    assert torch.equal(part.b, whole.b)


def test_inference_tensors():
    with torch.inference_mode():
        model = recorded(lambda: nn.Linear(3, 3))
    assert len(tritoninit.plan(model).fills) == 2
