"""The forgetting gate: general skills of a fine-tuned variant against its own base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.forgotten import Compared, Forgotten, broken, forgotten, shown
from pytest_ftgate.gate.losses import FORMAT, Losses, labels_of
from pytest_ftgate.gate.rates import shared_levels
from pytest_ftgate.gate.risks import MOST_MISSING
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict, together
from pytest_ftgate.gate.words import counted, percent, points, size
from pytest_ftgate.suite.margins import ForgettingGate
from pytest_ftgate.suite.model import Suite

__all__ = ["judge_forgetting"]

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
