"""The plain threshold that a gate may ask for, and how often such a rule turns by chance."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from pytest_ftgate.gate.numbers.power import flip_rate, point_rule_pass
from pytest_ftgate.gate.numbers.proportion import binomial_sf
from pytest_ftgate.gate.risks import MOST_MISSING
from pytest_ftgate.gate.verdict import Check, Outcome

__all__ = ["flips_by_chance", "point"]

_SLACK = 1e-9


def point(check: Check) -> Check:
    """Return *check* as a plain threshold on what was seen decides it, and how often that flips."""
    if check.missing > MOST_MISSING * (check.n + check.missing) or check.effective < 1:
        return check
    if check.before is None:
        held = check.after >= check.limit - _SLACK
    else:
        held = check.after - check.before >= -check.limit - _SLACK
    told = f"plain threshold: {flips_by_chance(check):.0%} of pairs of runs like this one disagree"
    outcome = Outcome.PASSED if held else Outcome.FAILED
    note = f"{check.note}; {told}".removeprefix("; ")
    return replace(check, outcome=outcome, method="point", note=note)


def flips_by_chance(check: Check) -> float:
    """Return how often two runs with as many cases, and rates as they were seen, disagree."""
    if check.before is None:
        wanted = ceil(check.limit * check.effective - _SLACK)
        return flip_rate(float(binomial_sf(wanted - 1.0, round(check.effective), check.after)))
    drop = check.before - check.after
    discordance = max(check.discordance or 0.0, abs(drop))
    return flip_rate(point_rule_pass(check.effective, discordance, drop, check.limit))
