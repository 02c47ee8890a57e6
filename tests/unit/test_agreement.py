"""What ranks make of one another's messages, without a process group."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import tritoninit
from tritoninit.plan import Plan
from tritoninit.ranks import agreement
from tritoninit.sharding import Sharding, Split

ROWS = Sharding((2,), (Split(0),))
MESHES = [object()]  # of which the exchanges here ask nothing


class Ranks:
    """Other ranks' messages, in the order of the exchanges; this one is rank 0."""

    def __init__(self, monkeypatch, digests=(), texts=()):
        self.digests, self.texts = list(digests), list(texts)
        monkeypatch.setattr(agreement, "exchange", self.exchange)
        monkeypatch.setattr(agreement, "exchange_texts", self.exchange_texts)

    def exchange(self, payload, meshes):
        self.sent = payload
        return {0: payload, **self.digests.pop(0)}

    def exchange_texts(self, text, meshes):
        self.told = text
        return {0: text, **self.texts.pop(0)}


def plan_of(seed=0, features=4, sharding=ROWS):
    with torch.device("meta"):
        model = nn.Linear(features, 4)
    made = tritoninit.plan(model, seed=seed)
    return Plan(made.key, tuple(sharded(fill, sharding) for fill in made.fills))


def sharded(fill, sharding):
    return replace(fill, sharding=sharding)


def texts_of(monkeypatch, plan):
    """What a rank with this plan says of it."""
    ranks = Ranks(monkeypatch, texts=[{}])
    agreement._explain(plan, [])
    return ranks.told


def test_equal_plans_agree(monkeypatch):
    made = plan_of()
    Ranks(monkeypatch, [{1: agreement._digest(made)}])
    with agreement.together(MESHES, "planning") as agreed:
        agreed.append(made)


def test_alone_there_is_nobody_to_ask(monkeypatch):
    monkeypatch.setattr(agreement, "_digest", None)  # a plan that none is compared with
    with agreement.together([], "planning") as agreed:
        agreed.append(plan_of())
    with pytest.raises(OSError, match="disk"), agreement.together([], "filling"):
        raise OSError("disk full")


@pytest.mark.parametrize(
    "other",
    [
        plan_of(seed=1),
        plan_of(features=5),
        plan_of(sharding=Sharding((2,), (Split(1),))),
        plan_of(sharding=Sharding((2,), (None,))),
        plan_of(sharding=None),
    ],
    ids=["seed", "shape", "placement", "replicate", "plain"],
)
def test_plans_that_differ(monkeypatch, other):
    texts = [{1: texts_of(monkeypatch, other)}]
    Ranks(monkeypatch, [{1: agreement._digest(other)}], texts)
    with (
        pytest.raises(tritoninit.RankError, match="weight: rank 0 and rank 1 differ; here it is"),
        agreement.together(MESHES, "planning") as agreed,
    ):
        agreed.append(plan_of())


def without_bias(plan):
    return Plan(plan.key, plan.fills[:1])


def test_a_sharded_tensor_that_a_rank_lacks(monkeypatch):
    other = without_bias(plan_of())
    texts = [{1: texts_of(monkeypatch, other)}]
    Ranks(monkeypatch, [{1: agreement._digest(other)}], texts)
    with (
        pytest.raises(
            tritoninit.RankError,
            match="bias, which is sharded, is missing or not on meta on rank 1",
        ),
        agreement.together(MESHES, "planning") as agreed,
    ):
        agreed.append(plan_of())


def test_a_plain_tensor_that_a_rank_lacks(monkeypatch):
    made = plan_of(sharding=None)
    texts = [{1: texts_of(monkeypatch, without_bias(made))}]
    Ranks(monkeypatch, [{1: agreement._digest(without_bias(made))}], texts)
    with agreement.together(MESHES, "planning") as agreed:
        agreed.append(made)


def test_another_rank_failed(monkeypatch):
    failed = {1: agreement.FAILED, 3: agreement.FAILED, 2: b"\1" * agreement.DIGEST_BYTES}
    ranks = Ranks(monkeypatch, [failed], [{1: "OSError: disk", 2: "", 3: "OSError: other"}])
    says = "ranks 1, 3 failed while filling, .* rank 1 says: OSError: disk"
    with pytest.raises(tritoninit.RankError, match=says), agreement.together(MESHES, "filling"):
        pass
    assert ranks.told == ""


def test_this_rank_failed(monkeypatch):
    ranks = Ranks(monkeypatch, [{1: b"\1" * agreement.DIGEST_BYTES}], [{1: ""}])
    with pytest.raises(OSError, match="disk"), agreement.together(MESHES, "filling"):
        raise OSError("disk")
    assert ranks.sent == agreement.FAILED
    assert ranks.told == "OSError: disk"


def test_who_asked_for_the_values_is_no_difference():
    made = plan_of()
    fills = tuple(replace(fill, origin="another line") for fill in made.fills)
    assert agreement._digest(Plan(made.key, fills)) == agreement._digest(made)
