"""A figure, apart from its computation, so that run records load without NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Population(StrEnum):
    """The replies that a figure is about."""

    #: Cached ones with the time and the tokens that they took.
    ALL = "all replies"
    #: Those that were requested in this run.
    THIS_RUN = "this run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number about a variant, with its 95 % interval.

    Attributes:
        unit: ``share``, ``usd`` (for 1,000 requests), ``tokens`` or ``characters``, ``ms``,
            ``nats``; of a relative change it is the unit of what changes.
        value: the number; 0 if *n* is 0.
        low, high: the ends of the interval; None if unbounded, or with too few cases for it.
        n: the number of cases with a value; of a quantile the number of replies.
        units: the number of unrelated cases and groups among them.
        missing: the number of cases without a value; of a quantile the number of requests.
        population: the replies that it is about.
        method: the method of the interval, as in ``Check``.
    """

    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    units: int
    missing: int = 0
    population: Population = Population.ALL
    method: str = "counts"
