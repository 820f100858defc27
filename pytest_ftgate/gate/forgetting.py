"""The forgetting gate: general skills of a fine-tuned variant against its own base."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from pytest_ftgate.gate.drop import MISS, MOST_MISSING, Pairing, drop, paired
from pytest_ftgate.gate.flips import MOST, flips
from pytest_ftgate.gate.multiple import holm
from pytest_ftgate.gate.paired import Pairs, p_drop, p_noninferior, tango_interval
from pytest_ftgate.gate.rates import alarm_of
from pytest_ftgate.gate.resample import macro_difference
from pytest_ftgate.gate.side import Side, side
from pytest_ftgate.gate.verdict import Check, Flip, Outcome, SkillChange, Verdict
from pytest_ftgate.gate.words import percent, points, size
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.model import ForgettingGate, Suite

__all__ = ["judge_forgetting"]

#: A skill is called kept where a loss of this size can be ruled out.
_KEPT_WITHIN = 0.10
_CONFIDENCE = 0.95
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
    alarm = alarm_of(suite)
    changes = _changes(column, base, alarm)
    check = drop(
        side(base, "accuracy"),
        side(column, "accuracy"),
        against="base",
        margin=gate.max_drop,
        alarm=alarm,
        pairing=_macro(column),
    )
    outcome = _outcome(check, changes)
    turned = flips(base, column, lambda row: row.correct)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=outcome,
        headline=_headline(outcome, check, changes),
        checks=(check,),
        skills=changes,
        flips=turned[:MOST],
        lost=sum(flip.lost for flip in turned),
        gained=sum(not flip.lost for flip in turned),
        notes=tuple(note for note in (check.note, _signature(suite, turned)) if note),
        next=tuple(_next(suite, column.variant, outcome, check)),
    )


def _skill_of(column: Column, key: str) -> str:
    return column.rows[key].case.skill or "other"


def _macro(column: Column) -> Pairing:
    def by_skill(before: Side, after: Side, keys: Sequence[str]) -> Pairs:
        skills: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            skills[_skill_of(column, key)].append(key)
        return macro_difference([paired(before, after, own) for own in skills.values()])

    return by_skill


def _changes(column: Column, base: Column, alarm: float) -> tuple[SkillChange, ...]:
    before, after = side(base, "accuracy"), side(column, "accuracy")
    skills: dict[str, list[str]] = defaultdict(list)
    for key, cell in after.items():
        if cell.value is not None and key in before and before[key].value is not None:
            skills[_skill_of(column, key)].append(key)
    pairs = {skill: paired(before, after, keys) for skill, keys in skills.items()}
    if not pairs:
        return ()
    adjusted = holm([p_drop(one) for one in pairs.values()])
    told = [
        _change(skill, one, float(p), alarm)
        for (skill, one), p in zip(pairs.items(), adjusted, strict=True)
    ]
    return tuple(sorted(told, key=lambda change: change.change))


def _change(skill: str, pairs: Pairs, adjusted: float, alarm: float) -> SkillChange:
    low, high = tango_interval(pairs, _CONFIDENCE)
    kept = p_noninferior(pairs, _KEPT_WITHIN) <= MISS
    return SkillChange(
        skill=skill,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="lost" if adjusted <= alarm else ("kept" if kept else "open"),
    )


def _outcome(check: Check, changes: tuple[SkillChange, ...]) -> Outcome:
    lost = any(change.state == "lost" for change in changes)
    # Too many missing replies leave everything open, a lost skill too.
    trustworthy = check.informative and check.missing <= MOST_MISSING * (check.n + check.missing)
    return Outcome.FAILED if lost and trustworthy else check.outcome


def _headline(outcome: Outcome, check: Check, changes: tuple[SkillChange, ...]) -> str:
    if check.before is None:
        return check.note
    told = (
        f"general skills {percent(check.before)} → {percent(check.after)}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )
    lost = [change.skill for change in changes if change.state == "lost"]
    if outcome is Outcome.FAILED and check.outcome is not Outcome.FAILED and lost:
        return f"{told}, but lost: {', '.join(lost)}"
    return told


def _signature(suite: Suite, turned: tuple[Flip, ...]) -> str:
    """Say how many lost answers have the shape of the suite's labels: narrow tuning's mark."""
    labels = [label for r in suite.reply.format if r.kind == "choice" for label in r.value]
    lost = [flip for flip in turned if flip.lost]
    like = [flip for flip in lost if _like_a_label(flip.now.strip(), labels)]
    if not labels or len(like) < _TELLING * len(lost) or not like:
        return ""
    exact = sum(flip.now.strip() in labels for flip in like)
    return (
        f"{len(like)} of {len(lost)} lost answers look like this suite's labels "
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
        parts.append(f"about {check.needed:,} more cases would settle it")
    return ["; ".join(parts)] if parts else []
