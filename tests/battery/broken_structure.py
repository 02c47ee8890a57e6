"""Samplers whose values depend on one another in a known way: correlation, masks, matrices."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tests.battery.broken_values import SAMPLES, Floats, Found, normals, rng_of
from tests.battery.correlation import Between, Partners, Serial
from tests.battery.groups_haar import p_values as haar_p_values
from tests.battery.groups_masks import neighbours_p_value, values_p_values
from tests.statistics.masks import pairs_p_value, subsets_p_value

ROW = 1000
STREAMS = 64


def serial(x: Floats) -> Found:
    taken = Serial(ROW)
    taken.add(x)
    return taken.p_values()


def between(x: Floats) -> Found:
    taken = Between(len(x))
    taken.add(x)
    return taken.p_values()


def partners(x: Floats) -> Found:
    taken = Partners()
    taken.add(x)
    return taken.p_values()


def leaking(lag: int, share: float) -> Floats:
    """Each element has a share of the one ``lag`` before it."""
    x = normals()
    x[lag:] += np.float32(share) * x[:-lag].copy()
    return x / np.float32(math.sqrt(1 + share**2))


def volatile(lag: int) -> Floats:
    """Larger where the element ``lag`` before it was large: uncorrelated, not independent."""
    x = normals()
    x[lag:] *= np.where(np.abs(x[:-lag]) > 1, np.float32(1.05), np.float32(0.97))
    return x


def streams() -> Floats:
    return normals().reshape(STREAMS, -1)


def shared_scale() -> Floats:
    """All streams 5% larger or smaller together."""
    x = streams()
    return x * np.where(rng_of().random(x.shape[1]) < 0.5, 0.95, 1.05).astype(np.float32)


def same_stream() -> Floats:
    """A fifth of stream 3 is in stream 7."""
    x = streams()
    x[7] = 0.98 * x[7] + 0.2 * x[3]
    return x


def same_sizes() -> Floats:
    """Stream 7 is stream 3 with other signs."""
    x = streams()
    x[7] = np.copysign(x[3], x[7])
    return x


def scaled_by_first() -> Floats:
    """The streams are larger where stream 0 is positive."""
    x = streams()
    x[1:] *= np.where(x[0] > 0, np.float32(1.05), np.float32(0.95))
    return x


def box_muller(angles: int) -> Floats:
    """One of so many angles."""
    rng = rng_of()
    radius = np.sqrt(-2 * np.log(1 - rng.random(SAMPLES // 2)))
    angle = 2 * np.pi * (rng.integers(0, angles, radius.size) + 0.3) / angles
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return np.asarray(pairs.reshape(-1), np.float32)


def paired(change: Callable[[Floats, Floats], Floats]) -> Floats:
    """The second of each pair changed by the first."""
    x = normals()
    x[1::2] = change(x[0::2], x[1::2])
    return x


def moved(mean: Floats, y: Floats) -> Floats:
    return (y + np.float32(0.03) * mean) / np.float32(math.sqrt(1 + 0.03**2))


CORRELATION: dict[str, Callable[[], Found]] = {
    "2% of the element 7 before": lambda: serial(leaking(7, 0.02)),
    "2% of the element a row before": lambda: serial(leaking(ROW, 0.02)),
    "a scale that follows the element 5 before": lambda: serial(volatile(5)),
    "streams with a common scale": lambda: between(shared_scale()),
    "a stream with a fifth of another": lambda: between(same_stream()),
    "a stream of the sizes of another": lambda: between(same_sizes()),
    "streams scaled by the sign of the first": lambda: between(scaled_by_first()),
    "partners, one of 256 angles": lambda: partners(box_muller(256)),
    "partners, 3% of the first in the second": lambda: partners(paired(moved)),
    "partners, a scale that follows the first": lambda: partners(
        paired(lambda x, y: y * np.where(np.abs(x) > 1, np.float32(1.06), np.float32(0.97)))
    ),
    "partners, a scale by the sign of the first": lambda: partners(
        paired(lambda x, y: y * np.where(x > 0, np.float32(1.05), np.float32(0.95)))
    ),
    "partners, a mean by the size of the first": lambda: partners(
        paired(lambda x, y: moved((x * x - 1) * np.float32(math.sqrt(0.5)), y))
    ),
}


def random_mask(rows: int, zeros: int, columns: int) -> npt.NDArray[np.bool_]:
    return rng_of().random((rows, columns)).argsort(axis=0) < zeros


def first_rows() -> Found:
    mask = random_mask(8, 4, 200_000)
    mask[:, ::50] = np.arange(8)[:, None] < 4
    return {"all subsets": subsets_p_value(mask)}


def cyclic() -> Found:
    start = rng_of().integers(0, 64, 20_000)
    return {"all pairs of rows": pairs_p_value((np.arange(64)[:, None] - start) % 64 < 16)}


def twice() -> Found:
    mask = random_mask(8, 4, 200_000)
    mask[:, 1::50] = mask[:, 0::50]
    return {"neighbouring columns": neighbours_p_value(mask)}


def hidden(least: Callable[[Floats], Floats]) -> Found:
    """In one column of 20 the zeros are where the values are least, or least in size."""
    mask = random_mask(64, 16, 16_384)
    values = normals().reshape(64, 16_384)
    mask[:, ::20] = least(values[:, ::20]).argsort(axis=0).argsort(axis=0) < 16
    return values_p_values(mask, values)


MASKS: dict[str, Callable[[], Found]] = {
    "one column in 50 takes the first rows": first_rows,
    "a cyclic run of rows": cyclic,
    "one column in 50 repeats the one before": twice,
    "one column in 20 hides its least values": lambda: hidden(lambda x: x),
    "one column in 20 hides the values nearest to 0": lambda: hidden(np.abs),
}


def haar_by_qr(size: int, count: int) -> npt.NDArray[np.float64]:
    q, r = np.linalg.qr(rng_of().standard_normal((count, size, size)))
    return np.asarray(q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :])


def unsigned(size: int) -> Found:
    """LAPACK's Q alone."""
    return haar_p_values(np.linalg.qr(rng_of().standard_normal((4000, size, size)))[0])


def rotations(size: int) -> Found:
    q = haar_by_qr(size, 4000)
    q[np.linalg.det(q) < 0, 0] *= -1
    return haar_p_values(q)


def independent_phases(size: int, count: int, power: float = 1.0) -> Found:
    """A random basis, planes turned by independent angles; with a power above 1 smaller ones."""
    v = haar_by_qr(size, count)
    angle = np.pi * rng_of().random((count, size // 2)) ** power
    turned = np.zeros_like(v)
    for plane in range(size // 2):
        c, s = np.cos(angle[:, plane]), np.sin(angle[:, plane])
        at = 2 * plane
        turned[:, at, at], turned[:, at + 1, at + 1] = c, c
        turned[:, at, at + 1], turned[:, at + 1, at] = -s, s
    if size % 2:
        turned[:, -1, -1] = 1
    return haar_p_values(v @ turned @ v.transpose(0, 2, 1))


def positive_column(size: int) -> Found:
    """The first column's largest entry is positive, as some eigensolvers have it."""
    q = haar_by_qr(size, 4000)
    largest = np.abs(q[:, :, 0]).argmax(axis=1)
    q[:, :, 0] *= np.sign(q[np.arange(len(q)), largest, 0])[:, None]
    return haar_p_values(q)


def narrow_angle() -> Found:
    """Plane rotations by less than half a turn, half of them reflected."""
    angle = np.pi * rng_of().random(4000)
    q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    q = q.transpose(2, 0, 1).copy()
    q[::2, :, 1] *= -1
    return haar_p_values(q)


HAAR: dict[str, Callable[[], Found]] = {
    "Q of LAPACK's QR, 2 x 2": lambda: unsigned(2),
    "Q of LAPACK's QR, 8 x 8": lambda: unsigned(8),
    "only rotations, 3 x 3": lambda: rotations(3),
    "angles of half a turn, 2 x 2": narrow_angle,
    "independent phases, 3 x 3": lambda: independent_phases(3, 4000),
    "independent phases, 64 x 64": lambda: independent_phases(64, 200),
    "independent phases nearer to 0, 8 x 8": lambda: independent_phases(8, 4000, 1.5),
    "a column of chosen sign, 8 x 8": lambda: positive_column(8),
}
