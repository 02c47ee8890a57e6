"""Polynomial coefficients of ``sampling.py``, and what belongs to them.

Where they come from, and the errors that remain, is derived in
``tests/accuracy/derive_constants.py``.
"""

from __future__ import annotations

import numpy as np


def single(*values: float) -> tuple[np.float32, ...]:
    """The nearest float32 numbers."""
    return tuple(np.float32(value) for value in values)


# -ln(1 + m) / m on [sqrt(1/2) - 1, sqrt(2) - 1]; minimax, relative error of the log 2^-22.8.
L = single(
    -0.99999986432666219,
    0.50000283668269009,
    -0.33336655837834056,
    0.24972379477242058,
    -0.19862963841165371,
    0.17199977782501714,
    -0.16456213909764451,
    0.10501727808737134,
)
MINUS_LN2 = np.float32(-0.69314718055994531 * 2.0**-23)

# -2 ln(1 + m/2) / (64 m) on [-1, 0]; minimax, relative error 2^-22.6.
R = single(
    -0.015624997694416152,
    0.0039065355006225709,
    -0.0012963381614069524,
    0.00053174061402026795,
    -3.7123419251677465e-05,
    0.00038351630689408554,
    0.00026405144315289525,
    0.00014464594282159216,
)
LN2 = np.float32(0.69314718055994531 * 2.0**-28)

# 8 sin(pi/2 x) / x and 8 cos(pi/2 x) / w in w = 1 - x^2, |x| <= 1; relative 2^-27.4, 2^-29.9.
S = single(
    8.0000000425109038,
    3.9999976961769477,
    0.5326183190876445,
    0.032542608746670798,
    0.0012118810610347068,
)
C = single(
    6.2831853133484118,
    1.570796005399323,
    0.13943670556988821,
    0.0063932639468715702,
    0.00018870388111308334,
)

# sqrt(2) erfinv(x) / x as P(v) / Q(v), v = 1 - x^2, for |z| <= 2; relative error 2^-23.8.
# Q[1] is one unit in the last place less than the fit's: no Q(v) then has all bits set.
P = single(
    3.110516889981463,
    131.51704935730933,
    755.3629661614497,
    739.9721829276095,
    67.79226770667972,
)
Q = single(
    1.0,
    57.39533233642578,
    451.4982928217161,
    686.717491993629,
    158.00127458219498,
)

# sqrt(2) erfinv(x) / x in w - 2.75, w = -ln(1 - x^2) <= 5.5, so |z| <= 3.08; relative 2^-22.4.
W = single(
    2.210118506175788,
    0.34553624140667502,
    -0.0071230942668758577,
    -0.0014707722140203138,
    0.00029655926138019522,
    -1.2424503959596797e-05,
    -3.8830172058918427e-06,
    4.9989997994384224e-07,
    1.8437646391385864e-08,
)
