"""The root of a function between two points."""

from __future__ import annotations

from collections.abc import Callable


def find_root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return the root of *function* between *low* and *high*, by Chandrupatla's method.

    SciPy has the same method, but its package ``optimize`` is slow to import, and every run with a
    limit for drops needs a root.

    Source: T. R. Chandrupatla (1997), Advances in Engineering Software 28(3), 145-149.

    Args:
        function: continuous, with different signs at *low* and *high*.
        low: the lower end.
        high: the upper end.
        xtol: absolute tolerance of the root.

    Raises:
        ValueError: the function has the same sign at both ends.
    """
    # The root lies between `new` and `far`; `old` is the point that was replaced last.
    new, far = low, high
    f_new, f_far = function(new), function(far)
    if f_new * f_far > 0.0:
        raise ValueError(f"no root between {low} and {high}: the signs there are the same")
    share = 0.5
    while f_new and f_far:
        trial = new + share * (far - new)
        f_trial = function(trial)
        if (f_trial > 0.0) == (f_new > 0.0):
            old, f_old = new, f_new
        else:
            old, f_old, far, f_far = far, f_far, new, f_new
        new, f_new = trial, f_trial
        least = xtol / abs(far - new) if far != new else 1.0
        if least > 0.5:  # noqa: PLR2004 - half of the interval is within the tolerance
            break
        share = min(max(_share(new, far, old, f_new, f_far, f_old), least), 1.0 - least)
    return new if abs(f_new) < abs(f_far) else far


def _share(new: float, far: float, old: float, f_new: float, f_far: float, f_old: float) -> float:
    """Return how far to go from *new* to *far*: by interpolation where it is safe, else half."""
    xi = (new - far) / (old - far)
    phi = (f_new - f_far) / (f_old - f_far)
    if not (phi**2 < xi and (1.0 - phi) ** 2 < 1.0 - xi):
        return 0.5
    first = f_new / (f_far - f_new) * f_old / (f_far - f_old)
    second = (old - new) / (far - new) * f_new / (f_old - f_new) * f_far / (f_old - f_far)
    return first + second
