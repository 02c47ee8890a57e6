"""The spectrum: what is measured is what was expected, and it can be drawn."""

import math

import pytest
import torch
from torch import nn

from tests.unit.models import on_meta
from tritoninit.checkpoint.contents import contents_of
from tritoninit.cli import plot
from tritoninit.demo_model import build


def test_measured_and_expected_agree_and_follow_the_layers():
    points, constant = plot.spectrum(contents_of(build(64, 3), 1))
    assert constant == 7  # the norms of three layers and the last
    roles = {(point.role, point.layer): point for point in points}
    assert len(roles) == len(points) == 3 * 7 + 1
    for layer in range(3):
        point = roles["layers.*.attention.wo", layer]
        assert point.expected == pytest.approx(0.02 / math.sqrt(2 * (layer + 1)))
    for point in points:
        assert point.measured == pytest.approx(point.expected, rel=0.06)
    assert roles["embedding", None].expected == 0.02


def test_no_more_is_computed_than_is_measured(monkeypatch):
    monkeypatch.setattr(plot, "SAMPLED", 1000)
    model = on_meta(lambda: nn.Embedding(2**33, 64))
    ((point,), constant) = plot.spectrum(contents_of(model))
    assert (constant, point.role, point.layer) == (0, "weight", None)
    assert point.measured == pytest.approx(1, rel=0.1)


def test_what_the_plan_does_not_say_is_measured():
    class Doubled(nn.Linear):
        @torch.no_grad()
        def reset_parameters(self):
            nn.init.normal_(self.weight)
            self.weight.mul_(2)
            nn.init.zeros_(self.bias)

    ((point,), constant) = plot.spectrum(contents_of(on_meta(lambda: Doubled(50, 50))))
    assert point.expected is None
    assert point.measured == pytest.approx(2, rel=0.1)
    assert constant == 1


@pytest.mark.parametrize("layers", [1, 12])
def test_the_picture_shows_every_tensor_once(layers, tmp_path):
    from matplotlib.image import imread

    contents = contents_of(build(64, layers, tied=False))
    plot.draw(contents, "title", tmp_path / "spectrum.png")
    picture = imread(tmp_path / "spectrum.png")
    assert picture.shape[0] > 500
    assert len({tuple(colour) for colour in picture.reshape(-1, 4)[::7].tolist()}) > 10
    points, _ = plot.spectrum(contents)
    groups = plot._groups(points)
    assert sorted(n for roles, _ in groups for n in roles) == sorted({p.role for p in points})
    assert {p for _, members in groups for p in members} == set(points)
    before = {"embedding"}
    places = {p.role: plot._place(p, before, (-2, 13)) for p in points if p.layer is None}
    assert places == {"embedding": -2, "head": 13}
