"""When a checkpoint ends a training: which tests may, at which levels, and what they take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal

from pytest_ftgate.gates.verdict import Check, Slice, Verdict
from pytest_ftgate.stats.paired import PairedCounts, p_within
from pytest_ftgate.stats.proportions import find_root

#: The chance that a training ends although it has lost half of what is allowed, or less, over all
#: its checkpoints together; with *any_drop* that one ends that has lost nothing.
STOP_ALARM = 0.05
#: What ends a training: more than half of a limit is surely lost, or a drop that is shown may
#: exceed its limit.
StopRule = Literal["half_limit", "any_drop"]


@dataclass(frozen=True, slots=True)
class StopTest:
    """One test that may end a training: of a check, or of a tested part; *p* is its p-value."""

    verdict: Verdict
    part: Check | Slice
    p: float


def planned_checkpoints(every: str | int, args: Any, state: Any) -> int:
    """Return the number of checkpoints that a training plans, by the trainer's *args* and *state*.

    The training may end earlier, but has no more of them.
    """
    steps = int(state.max_steps)
    if isinstance(every, int):
        return max(1, steps // every)
    if every in ("save", "evaluate"):
        name = {"save": "save", "evaluate": "eval"}[every]
        if strategy(args, name) == "steps":
            return max(1, ceil(steps / max(1, int(getattr(state, f"{name}_steps")))))
    return max(1, ceil(float(state.num_train_epochs)))


def strategy(args: Any, event: str) -> str:
    """Return when a trainer with *args* does *event*, ``save`` or ``eval``, as its own word."""
    value = getattr(args, f"{event}_strategy")
    return str(getattr(value, "value", value))


def stop_level(number: int, planned: int, tests: int = 1) -> float:
    """Return the level of each of *tests* at the checkpoint *number*, from 1 to *planned*.

    The levels of all checkpoints add up to *STOP_ALARM*. The first ones get more of it: what a
    training forgets it mostly forgets at the beginning, and there a stop saves most.
    """
    harmonic = sum(1.0 / one for one in range(1, max(planned, number) + 1))
    return STOP_ALARM / (number * harmonic * max(1, tests))


def may_exceed(verdict: Verdict) -> bool:
    """Return True if a drop is shown that may be larger than its limit."""
    return any(map(_may_exceed, _comparisons(verdict)))


def doubtful_gates(verdicts: Sequence[Verdict], stop_on: Collection[str]) -> list[str]:
    """Return the gates of *stop_on* that have dropped, perhaps by chance, perhaps too far.

    They are evaluated on all cases: part of them shows a drop late, often when the gate fails.
    """
    chosen = [verdict for verdict in verdicts if verdict.gate in stop_on]
    return [verdict.gate for verdict in chosen if any(map(_is_doubtful, _comparisons(verdict)))]


def stop_tests(
    verdicts: Sequence[Verdict], stop_on: Collection[str], rule: StopRule
) -> tuple[StopTest, ...]:
    """Return the tests that may end a training by *rule*, of the gates *stop_on*."""
    chosen = [verdict for verdict in verdicts if verdict.gate in stop_on]
    found = _half_limit_tests if rule == "half_limit" else _any_drop_tests
    return tuple(StopTest(verdict, *test) for verdict in chosen for test in found(verdict))


def _half_limit_tests(verdict: Verdict) -> Iterator[tuple[Check | Slice, float]]:
    checks = _comparisons(verdict)
    # The replies that are missing might all be of one part.
    parts = () if any(check.missing for check in checks) else verdict.slices
    tested: list[Check | Slice] = [*checks, *parts]
    for part in tested:
        if part.p_half is not None:
            yield part, part.p_half


def _any_drop_tests(verdict: Verdict) -> Iterator[tuple[Check, float]]:
    for check in _comparisons(verdict):
        p = check.p_fail if _may_exceed(check) else None
        yield check, 1.0 if p is None else p


def drops(tests: Sequence[StopTest], level: float) -> Iterator[tuple[Verdict, Check, float]]:
    """Yield each check that has dropped, with the change at which it would end the training."""
    for test in tests:
        check = test.part
        if isinstance(check, Check) and (check.change or 0.0) < 0.0:
            needed = needed_change(check, level)
            if needed is not None:
                yield test.verdict, check, needed


def needed_change(check: Check, level: float) -> float | None:
    """Return the change at which the test of half the limit would end a training at *level*.

    It supposes as many fixed cases, or that the scores of all cases are lower by the same. None if
    no change would, or where the check has no *pairs*.
    """
    pairs: PairedCounts | None = check.pairs
    if pairs is None:
        return None

    def excess(change: float) -> float:
        return p_within(_with_change(pairs, change), check.limit / 2.0) - level

    least = (pairs.fixed / pairs.n if pairs.countable else 0.0) - pairs.before
    if not excess(least) < 0.0 < excess(-check.limit / 2.0):
        return None
    needed = find_root(excess, least, -check.limit / 2.0, xtol=1e-6)
    # With missing replies, the test and the report use different changes.
    return (check.change or 0.0) + needed - pairs.delta


def _with_change(pairs: PairedCounts, change: float) -> PairedCounts:
    """Return *pairs* with another *change*; the spread stays."""
    values = pairs.changes
    if values is not None:
        values = replace(values, sums=values.sums + (change - pairs.delta) * values.sizes)
    lost = pairs.fixed - change * pairs.n
    return replace(pairs, delta=change, regressed=lost, changes=values)


def _comparisons(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if check.before is not None]


def _may_exceed(check: Check) -> bool:
    """Return True if the interval of the change ends below 0, and begins beyond the limit."""
    return _is_doubtful(check) and check.high is not None and check.high < 0


def _is_doubtful(check: Check) -> bool:
    """Return True if there is a drop, and the interval of the change begins beyond the limit."""
    change, low = check.change, check.low
    return change is not None and change < 0 and low is not None and low < -check.limit
