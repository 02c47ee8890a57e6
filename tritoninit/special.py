"""The normal distribution on the host, the same on every platform.

Constants that reach the kernels must not depend on a C library's ``erf`` or ``exp``, so
these functions use ``decimal``, whose arithmetic, ``exp``, ``ln`` and ``sqrt`` are correctly
rounded and specified (IBM General Decimal Arithmetic).  They are called a few times for each
distinct pair of bounds, never for each element.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext

DIGITS = 50  # the Taylor series below loses at most exp(8**2 / 2) = 10**14 of them
CONTEXT = Context(prec=DIGITS, Emin=MIN_EMIN, Emax=MAX_EMAX)  # Q(1e4) = 10**-21714725 exists
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
SERIES_END = 8
FRACTION_TERMS = 100  # of the continued fraction; 40 digits at z = 8, more beyond


def mills(z: Decimal) -> Decimal:
    """Mills's ratio Q(z) / phi(z) of the standard normal, z >= 0.

    Below 8, 1/(2 phi(z)) - sum of z**(2n+1) / (2n+1)!!; from 8 on, the continued fraction
    1/(z + 1/(z + 2/(z + ...))) (Abramowitz and Stegun 26.2.11 and 26.2.14).
    """
    with localcontext(CONTEXT):
        if z >= SERIES_END:
            tail = z
            for n in range(FRACTION_TERMS, 0, -1):
                tail = z + n / tail
            return 1 / tail
        return (2 * PI).sqrt() * (z * z / 2).exp() / 2 - _series(z)


def _series(z: Decimal) -> Decimal:
    square = z * z
    term = total = z
    odd = 1
    while term > total * Decimal("1e-52"):
        odd += 2
        term = term * square / odd
        total += term
    return total


def half_mass(z: Decimal) -> Decimal:
    """P(0 < Z < z) = 1/2 - Q(z) of the standard normal, z >= 0, to all digits next to 0."""
    with localcontext(CONTEXT):
        if z >= SERIES_END:
            return 1 / Decimal(2) - survival(z)
        return (-z * z / 2).exp() / (2 * PI).sqrt() * _series(z)


def log_survival(z: Decimal) -> Decimal:
    """ln Q(z) = ln P(Z > z), z >= 0."""
    with localcontext(CONTEXT):
        return mills(z).ln() - z * z / 2 - (2 * PI).ln() / 2


def survival(z: Decimal) -> Decimal:
    """Q(z) = P(Z > z) of the standard normal; z may be infinite."""
    with localcontext(CONTEXT):
        if z.is_infinite():
            return Decimal(0 if z > 0 else 1)
        if z < 0:
            return 1 - survival(-z)
        return log_survival(z).exp()


def tail_increment(z: Decimal, log_ratio: Decimal) -> Decimal:
    """The d with ln Q(z) - ln Q(z + d) = log_ratio, for z >= 0 and log_ratio > 0.

    Newton's method; the derivative of ln Q is -1/M.  ln Q is concave, so it converges from
    the start used here: the root of the quadratic that has the same slope at d = 0.
    """
    with localcontext(CONTEXT):
        start = log_survival(z)
        kappa = 1 / mills(z)
        d = 2 * log_ratio / (kappa + (kappa * kappa + 2 * log_ratio).sqrt())
        for _ in range(50):
            step = (start - log_survival(z + d) - log_ratio) * mills(z + d)
            d -= step
            if abs(step) <= abs(d) * Decimal("1e-25"):
                return d
        raise ArithmeticError(f"no convergence for z={z}, log_ratio={log_ratio}")


def truncated_std(low: Decimal, high: Decimal) -> float:
    """The standard deviation of a standard normal truncated to [low, high].

    1 + (low phi(low) - high phi(high)) / m - ((phi(low) - phi(high)) / m)**2 with
    m = Q(low) - Q(high), the densities relative to the larger one (Johnson, Kotz and
    Balakrishnan, Continuous Univariate Distributions 1, 13.10.1).
    """
    with localcontext(CONTEXT):
        if high <= 0:
            low, high = -high, -low
        if low == high:
            return 0.0
        root = (2 * PI).sqrt()

        def density(z: Decimal) -> Decimal:
            return Decimal(0) if z.is_infinite() else (-z * z / 2).exp() / root

        def moment(z: Decimal) -> Decimal:
            return Decimal(0) if z.is_infinite() else z * density(z)

        mass = survival(low) - survival(high)
        if mass <= 0 or (high - low) * max(low, Decimal(1)) < Decimal("1e-9"):
            return float((high - low) / Decimal(12).sqrt())
        shift = (density(low) - density(high)) / mass
        variance = 1 + (moment(low) - moment(high)) / mass - shift * shift
        return float(max(variance, Decimal(0)).sqrt())
