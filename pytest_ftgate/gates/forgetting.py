"""The forgetting gate: general skills of a fine-tuned variant against its base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import drop, paired
from pytest_ftgate.gates.flips import Turned, flips, turned
from pytest_ftgate.gates.levels import MOST_MISSING, Levels
from pytest_ftgate.gates.rates import shared_levels
from pytest_ftgate.gates.samples import Side
from pytest_ftgate.gates.skills import (
    FORMAT,
    Losses,
    by_worth,
    kept,
    labels_of,
    macro,
    skill_slices,
)
from pytest_ftgate.gates.units import counted, percent, points, size
from pytest_ftgate.gates.verdict import Check, Flip, LossKind, Outcome, Slice, Verdict, together
from pytest_ftgate.requests.contamination import Leak
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.stats.paired import Pairs
from pytest_ftgate.stats.resampling import Part
from pytest_ftgate.suite.model import ForgettingGate, Suite

__all__ = ["Compared", "Forgotten", "broken", "forgotten", "judge_forgetting", "shown"]

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Compared:
    """What a forgetting gate looks at: columns of the variant and of its base.

    Attributes:
        sides: by what skills were asked under, ``""`` or ``prompt``: the variant, its base.
        again: the must-keep cases that broke, asked again of both; None where there are none, or
            where replies do not vary.
        leak: the skills cases that the variant was trained on.
    """

    sides: Mapping[str, tuple[Column, Column]]
    again: tuple[Column, Column] | None = None
    leak: Leak | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of the skills under one prompt."""

    check: Check
    slices: tuple[Slice, ...]
    turned: Turned
    kinds: tuple[LossKind, ...]

    @property
    def lost(self) -> list[Slice]:
        """The skills that really dropped, of those that matter."""
        return [one for one in self.slices if one.judged and one.state == "lost"]

    @property
    def unproven(self) -> list[Slice]:
        """The skills that must be shown to keep to their margin, and are not."""
        return [one for one in self.slices if one.required and one.state == "open"]


def forgotten(
    gate: ForgettingGate, under: str, compared: Compared, levels: Levels, losses: Losses
) -> Forgotten:
    """Return what became of the skills as they were asked *under* nothing more, or a prompt.

    Args:
        gate: the gate.
        under: ``""`` or ``prompt``.
        compared: the columns.
        levels: the risks of one of its checks.
        losses: tells how lost answers went wrong.
    """
    column, base = compared.sides[under]
    seen = compared.leak.ids if compared.leak else frozenset()
    before, after = (_without(by_worth(one), seen) for one in (base, column))
    parts = skill_slices(before, after, column.cases, gate, levels)
    told = turned(before, after)
    return Forgotten(
        check=replace(_check(gate, column, before, after, levels), under=under),
        slices=tuple(replace(part, under=under) for part in parts),
        turned=told,
        kinds=losses.count(base, column, told.lost, under),
    )


def _without(side: Side, ids: frozenset[str]) -> Side:
    return side.where(np.array([key not in ids for key in side.keys], dtype=bool)) if ids else side


def _check(
    gate: ForgettingGate, column: Column, before: Side, after: Side, levels: Levels
) -> Check:
    def skills(side: Side) -> NDArray[np.str_]:
        return np.array([column.rows[key].case.skill or "other" for key in side.keys])

    def pairing(was: Side, now: Side) -> Pairs:
        own = skills(now)
        return macro(
            gate,
            {str(s): paired(was.where(own == s), now.where(own == s)) for s in dict.fromkeys(own)},
        )

    weighed = [
        side.where(np.array([gate.weight(str(s)) > 0 for s in skills(side)], dtype=bool))
        for side in (before, after)
    ]
    check = drop(*weighed, against="base", margin=gate.max_drop, levels=levels, pairing=pairing)
    return _with_retention(gate, check, skills(before), before, after)


def _with_retention(
    gate: ForgettingGate,
    check: Check,
    skills: NDArray[np.str_],
    before: Side,
    after: Side,
) -> Check:
    """Add what is left in the mean, and the mean change of all skills whatever their weight."""
    known = before.known & after.known
    parts = {
        str(skill): Part(before.values[mask], after.values[mask], float(mask.sum()))
        for skill in dict.fromkeys(skills)
        if (mask := known & (skills == skill)).any()
    }
    if not parts:
        return check
    changes = [float(part.after.mean() - part.before.mean()) for part in parts.values()]
    weighed = [part._replace(weight=gate.weight(skill)) for skill, part in parts.items()]
    return replace(
        check,
        retention=kept([part for part in weighed if part.weight]),
        transfer=float(np.mean(changes)),
    )


def broken(
    column: Column, base: Column, again: tuple[Column, Column] | None = None
) -> tuple[str, ...]:
    """Return the must-keep cases that *base* has right and *column* has wrong.

    Args:
        column: the variant's scores on the skills cases.
        base: its base's.
        again: those that broke at first, asked again of both, where one unlucky reply may explain
            it: most replies of each side must say so.
    """
    held = [key for key, row in column.rows.items() if row.case.must_keep]
    was, now = (_values(one) for one in (base, column))
    broke = [key for key in held if was.get(key, 0.0) > _HALF and now.get(key, 1.0) <= _HALF]
    if again is not None:
        # A reply that did not come the second time takes nothing back.
        now, was = (_values(one) for one in again)
        sound = [key for key in broke if now.get(key, 0.0) > _HALF or was.get(key, 1.0) <= _HALF]
        broke = [key for key in broke if key not in sound]
    return tuple(broke)


def _values(column: Column) -> dict[str, float]:
    side = by_worth(column)
    return dict(zip(side.keys, map(float, side.values), strict=True))


# What a reader is shown first -------------------------------------------------------------------


def _telling(told: Turned, column: Column, breaks: tuple[str, ...]) -> Turned:
    """Order the lost cases so that the first ones tell most: what broke, then what was easiest.

    One of each skill comes before a second of any.
    """
    easy = sorted(told.lost, key=lambda key: column.rows[key].case.difficulty or 3)
    turn: Counter[str | None] = Counter()
    ranked = []
    for key in easy:
        skill = column.rows[key].case.skill
        ranked.append((turn[skill], key))
        turn[skill] += 1
    ranked.sort(key=lambda one: one[0])
    return Turned(tuple(key for _, key in ranked), told.gained).led_by(
        [key for key in breaks if key in told.lost]
    )


def shown(
    losses: Losses, base: Column, column: Column, told: Turned, breaks: tuple[str, ...]
) -> Iterator[Flip]:
    """Yield the cases that turned, the most telling ones first, each lost one with its kind."""
    for flip in flips(base, column, _telling(told, column, breaks)):
        kind = losses.kind(base.rows.get(flip.case), column.rows[flip.case]) if flip.lost else ""
        yield replace(flip, kind=kind)


#: From this share of the lost answers on, their shape is worth a sentence.
_TELLING = 0.25
#: So many names a headline holds.
_MOST_NAMED = 4


def judge_forgetting(suite: Suite, gate: ForgettingGate, compared: Compared) -> Verdict:
    """Judge whether a fine-tuned variant kept its base's general skills.

    Passed: a mean loss as large as the margin is ruled out, no single skill shows a real loss
    (Holm over the skills), every skill with a margin of its own keeps to it, and no must-keep case
    broke. An average never hides a lost skill.

    Args:
        suite: the suite, for the number of its checks and the format of its replies.
        gate: the gate.
        compared: the columns.
    """
    levels, losses = shared_levels(suite), Losses(suite)
    found = {u: forgotten(gate, u, compared, levels, losses) for u in gate.unders}
    checks = tuple(one.check for one in found.values())
    breaks = broken(*compared.sides[""], compared.again)
    outcome, deciding = _outcome(list(found.values()), breaks)
    decided = found[checks[deciding].under]
    told, (column, base) = decided.turned, compared.sides[decided.check.under]
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=outcome,
        headline=_headline(outcome, decided, breaks),
        checks=checks,
        deciding=deciding,
        slices=tuple(part for one in found.values() for part in one.slices),
        flips=tuple(shown(losses, base, column, told, breaks)),
        lost=len(told.lost),
        gained=len(told.gained),
        kinds=tuple(kind for one in found.values() for kind in one.kinds),
        breaks=breaks,
        notes=tuple(_notes(suite, gate, compared, decided)),
        next=tuple(_next(suite, column.variant, outcome, decided)),
    )


# What it comes to -------------------------------------------------------------------------------


def _outcome(found: list[Forgotten], breaks: tuple[str, ...]) -> tuple[Outcome, int]:
    outcome, deciding = together([one.check for one in found])
    for index, one in enumerate(found):
        # Too many missing replies leave everything open, a lost skill too.
        if one.lost and _trustworthy(one.check) and outcome is not Outcome.FAILED:
            outcome, deciding = Outcome.FAILED, index
    if breaks:
        return Outcome.FAILED, deciding
    if outcome is Outcome.PASSED:
        for index, one in enumerate(found):
            if one.unproven:
                return Outcome.INCONCLUSIVE, index
    return outcome, deciding


def _trustworthy(check: Check) -> bool:
    return check.informative and check.missing <= MOST_MISSING * (check.n + check.missing)


def _headline(outcome: Outcome, one: Forgotten, breaks: tuple[str, ...]) -> str:
    check = one.check
    if check.before is None:
        return check.note
    under = " under the prompt" if check.under else ""
    told = (
        f"general skills{under} {percent(check.before)} → {percent(check.after)}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )
    if outcome is Outcome.FAILED and breaks:
        told += f"; must-keep cases broke: {_named(breaks)}"
    lost, unproven = ([part.name for part in some] for some in (one.lost, one.unproven))
    if outcome is Outcome.FAILED and lost:
        but = "; lost:" if check.outcome is Outcome.FAILED else ", but lost:"
        return f"{told}{but} {_named(lost)}"
    if outcome is Outcome.INCONCLUSIVE and check.outcome is Outcome.PASSED and unproven:
        return f"{told}, but open: {_named(unproven)}"
    return told


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


# What else a reader must know -------------------------------------------------------------------


def _notes(
    suite: Suite, gate: ForgettingGate, compared: Compared, found: Forgotten
) -> Iterator[str]:
    if found.check.note:
        yield found.check.note
    blind = [one.name for one in found.slices if one.kind == "skill" and one.state == "blind"]
    if blind:
        yield f"the base can so little of {', '.join(blind)} that a loss could not be seen there"
    leak = compared.leak
    if leak is not None:
        were = "stands" if leak.leaked == 1 else "stand"
        yield (
            f"{counted(leak.leaked, 'skills case')} {were} in {leak.file} (line {leak.line}: "
            f"{leak.case}) and left out: what was trained on shows no forgetting"
        )
    if gate.left_out:
        yield gate.left_out
    yield from _signature(suite, compared, found)


def _signature(suite: Suite, compared: Compared, found: Forgotten) -> Iterator[str]:
    """Say how many lost answers have the shape of the suite's labels: narrow tuning's mark."""
    labels = labels_of(suite)
    kind = next((one for one in found.kinds if one.kind == FORMAT), None)
    if kind is None or kind.share < _TELLING:
        return
    lost = sum(one.cases for one in found.kinds)
    column, _ = compared.sides[found.check.under]
    said = [r.text.strip() for key in found.turned.lost for r in column.rows[key].replies[:1]]
    exact = sum(text in labels for text in said)
    what = f"this suite's labels ({exact} are labels, the others invented)"
    yield f"{kind.cases} of {lost} lost answers look like {what if labels else 'its own replies'}"


def _next(suite: Suite, variant: str, outcome: Outcome, found: Forgotten) -> Iterator[str]:
    if outcome is Outcome.FAILED:
        yield (
            f"do not ship {variant} as it is: mix general data into its training set, train for "
            "fewer epochs, lower the learning rate or the rank, or go back to the last one that "
            "passed (docs/forgetting.md)"
        )
        yield f'all lost cases: pytest --ftgate -vv "{suite.name}::forgetting[{variant}]"'
    elif outcome is Outcome.INCONCLUSIVE:
        yield from _to_settle(found)


def _to_settle(found: Forgotten) -> Iterator[str]:
    check, parts = found.check, []
    if check.certifiable is not None:
        parts.append(
            f"{check.n} skills cases cannot rule out a mean loss of {size(check.limit)} points "
            f"(they can certify {size(check.certifiable)})"
        )
    if check.needed is not None:
        parts.append(f"about {counted(check.needed, 'more case')} would settle it")
    if parts:
        yield "; ".join(parts)
    for one in found.unproven:
        yield (
            f"{one.n} cases of {one.name} cannot rule out a loss of {size(one.margin or 0)} points "
            f"(they leave {points(one.low)} to {points(one.high)}); allow more, or add cases"
        )
