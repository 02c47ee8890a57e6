"""Chains that are a distribution in disguise."""

from __future__ import annotations

import math

from tritoninit.plan import Apply
from tritoninit.recipe import Recipe, TruncNormal, Uniform
from tritoninit.recording.targets import Written

# timm's trunc_normal_, and torch's before 2.12: the inverse distribution function of a uniform.
CHAIN = ("erfinv_.default", "mul_.Tensor", "add_.Tensor", "clamp_.default")
MASS = 1e-6  # of probability, by which the clamp may differ from the uniform's bounds


def unmasked(writes: list[Written]) -> list[Written]:
    """The same writes with truncated normals under their own name.

    ``uniform_(2 P(a) - 1, 2 P(b) - 1).erfinv_().mul_(std sqrt(2)).add_(mean).clamp_(a, b)`` is
    ``trunc_normal_(mean, std, a, b)``, with P the normal distribution function.
    """
    if len(writes) < 5:
        return writes
    found: list[Written] = []
    index = 0
    while index < len(writes):
        chain = writes[index : index + 5]
        recipe = _truncated(chain)
        found.append(writes[index] if recipe is None else writes[index]._replace(recipe=recipe))
        index += 1 if recipe is None else 5
    return found


def _truncated(chain: list[Written]) -> Recipe | None:
    if len(chain) < 5 or any(written.view != chain[0].view for written in chain):
        return None
    uniform, *others = (written.recipe for written in chain)
    if not isinstance(uniform, Uniform):
        return None
    applied = [recipe for recipe in others if isinstance(recipe, Apply)]
    if tuple(recipe.op for recipe in applied) != CHAIN:
        return None
    _, multiplied, added, clamped = applied
    bounds = dict(zip(("min", "max"), clamped.args, strict=False)) | dict(clamped.kwargs)
    numbers = (*multiplied.args, *added.args, bounds.get("min"), bounds.get("max"))
    if added.kwargs or not all(isinstance(n, int | float) for n in numbers) or len(numbers) != 4:
        return None
    scale, mean, low, high = (float(n) for n in numbers if isinstance(n, int | float))
    std = scale / math.sqrt(2)
    if not (math.isfinite(std) and std > 0 and low < high):
        return None
    mass = [(math.erf((bound - mean) / scale) + 1) / 2 for bound in (low, high)]
    drawn = [(bound + 1) / 2 for bound in (uniform.a, uniform.b)]
    if max(abs(m - d) for m, d in zip(mass, drawn, strict=True)) > MASS:
        return None
    return TruncNormal(mean, std, low, high)
