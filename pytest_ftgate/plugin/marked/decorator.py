"""The mark with types, for editors and type checkers; adds no start-up cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import pytest

_Path = str | os.PathLike[str]


class MetricLimits(TypedDict, total=False):
    """The limits of one of several scores."""

    max_drop: float | Literal["none"]
    min: float
    evidence: Literal["statistics", "point"]


def gate(  # noqa: PLR0913 - the arguments of the mark
    suite: _Path | None = None,
    /,
    *,
    cases: _Path | Sequence[Mapping[str, Any]] | None = None,
    variants: str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    prompt: _Path | None = None,
    max_drop: float | Literal["none"] | None = None,
    min: float | None = None,  # noqa: A002 - as in the mark
    repeats: int | None = None,
    tags: str | Sequence[str] | None = None,
    evidence: Literal["statistics", "point"] | None = None,
    metrics: Mapping[str, MetricLimits] | None = None,
) -> pytest.MarkDecorator:
    """Return ``pytest.mark.ftgate`` with these arguments; docs/pytest.md describes them."""
    arguments = {name: value for name, value in locals().items() if value is not None}
    arguments.pop("suite", None)
    positional = () if suite is None else (suite,)
    mark: pytest.MarkDecorator = pytest.mark.ftgate(*positional, **arguments)
    return mark
