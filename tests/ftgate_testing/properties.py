"""How many examples a property draws: a share of those that the profile of Hypothesis says."""

from __future__ import annotations

from hypothesis import settings


def examples(times: float) -> settings:
    """Return settings that draw *times* the examples of the profile: few where each is slow."""
    return settings(max_examples=round(times * settings.default.max_examples))
