"""The forgetting gate: general skills of a fine-tuned variant against its own base."""

from __future__ import annotations

import re

import numpy as np

from pytest_ftgate.gate.drop import Pairing, drop, paired
from pytest_ftgate.gate.flips import Turned, flips, turned
from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.resample import macro_difference
from pytest_ftgate.gate.rates import shared_levels
from pytest_ftgate.gate.risks import MOST_MISSING
from pytest_ftgate.gate.side import Side, side
from pytest_ftgate.gate.slices import members, slices
from pytest_ftgate.gate.verdict import Check, Outcome, Slice, Verdict
from pytest_ftgate.gate.words import counted, percent, points, size
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import ForgettingGate
from pytest_ftgate.suite.model import Suite

__all__ = ["judge_forgetting"]

#: A skill is called kept where a loss of this size can be ruled out.
_KEPT_WITHIN = 0.10
#: From this share of the lost answers on, their shape is worth a sentence.
_TELLING = 0.25


def judge_forgetting(suite: Suite, gate: ForgettingGate, column: Column, base: Column) -> Verdict:
    """Judge whether a fine-tuned variant kept its base's general skills.

    Each skill weighs the same. Passed: a mean loss as large as the margin is ruled out, and no
    single skill shows a real loss (Holm over the skills); an average never hides a lost skill.

    Args:
        suite: the suite, for the number of its checks.
        gate: the gate.
        column: the variant's scores on the skills cases.
        base: its base's scores on the same cases.
    """
    levels = shared_levels(suite)
    before, after = side(base, "accuracy"), side(column, "accuracy")
    skills = members(column.cases, ["skill"])
    lost = slices(before, after, skills, margin=_KEPT_WITHIN, levels=levels)
    check = drop(
        before,
        after,
        against="base",
        margin=gate.max_drop,
        levels=levels,
        pairing=_macro(column),
    )
    outcome = _outcome(check, lost)
    told = turned(before, after)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=outcome,
        headline=_headline(outcome, check, lost),
        checks=(check,),
        slices=lost,
        flips=flips(base, column, told),
        lost=len(told.lost),
        gained=len(told.gained),
        notes=tuple(filter(None, [check.note, _signature(suite, column, told)])),
        next=tuple(_next(suite, column.variant, outcome, check)),
    )


def _macro(column: Column) -> Pairing:
    def by_skill(before: Side, after: Side) -> Pairs:
        skills = np.array([column.rows[key].case.skill or "other" for key in after.keys])
        own = [skills == skill for skill in dict.fromkeys(skills)]
        return macro_difference([paired(before.where(one), after.where(one)) for one in own])

    return by_skill


def _outcome(check: Check, changes: tuple[Slice, ...]) -> Outcome:
    lost = any(change.state == "lost" for change in changes)
    # Too many missing replies leave everything open, a lost skill too.
    trustworthy = check.informative and check.missing <= MOST_MISSING * (check.n + check.missing)
    return Outcome.FAILED if lost and trustworthy else check.outcome


def _headline(outcome: Outcome, check: Check, changes: tuple[Slice, ...]) -> str:
    if check.before is None:
        return check.note
    told = (
        f"general skills {percent(check.before)} → {percent(check.after)}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )
    lost = [change.name for change in changes if change.state == "lost"]
    if outcome is Outcome.FAILED and check.outcome is not Outcome.FAILED and lost:
        return f"{told}, but lost: {', '.join(lost)}"
    return told


def _signature(suite: Suite, column: Column, told: Turned) -> str:
    """Say how many lost answers have the shape of the suite's labels: narrow tuning's mark."""
    labels = [label for r in suite.reply.format if r.kind == "choice" for label in r.value]
    said = [reply.text.strip() for key in told.lost for reply in column.rows[key].replies[:1]]
    like = [text for text in said if _like_a_label(text, labels)]
    if not labels or len(like) < _TELLING * len(said) or not like:
        return ""
    exact = sum(text in labels for text in like)
    return (
        f"{len(like)} of {len(said)} lost answers look like this suite's labels "
        f"({exact} are labels, the others invented)"
    )


def _like_a_label(said: str, labels: list[str]) -> bool:
    if said in labels:
        return True
    joint = any("_" in label for label in labels)
    return joint and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", said) is not None


def _next(suite: Suite, variant: str, outcome: Outcome, check: Check) -> list[str]:
    if outcome is Outcome.FAILED:
        cure = "mix general data into its training set, train for fewer epochs, or lower the rank"
        every = f'pytest --ftgate -vv "{suite.name}::forgetting[{variant}]"'
        return [f"do not ship {variant} as it is: {cure}", f"all lost cases: {every}"]
    if outcome is not Outcome.INCONCLUSIVE:
        return []
    parts = []
    if check.certifiable is not None:
        parts.append(
            f"{check.n} skills cases cannot rule out a mean loss of {size(check.limit)} points "
            f"(they can certify {size(check.certifiable)})"
        )
    if check.needed is not None:
        parts.append(f"about {counted(check.needed, 'more case')} would settle it")
    return ["; ".join(parts)] if parts else []
