"""When a checkpoint ends a training: drops, and the level at which each checkpoint tests them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import Any

from pytest_ftgate.gates.verdict import Check, Verdict

#: The chance that a training ends although nothing is lost, over all its checkpoints together.
STOP_ALARM = 0.05


def planned_checkpoints(every: str | int, args: Any, state: Any) -> int:
    """Return the number of checkpoints that a training plans, by the trainer's *args* and *state*.

    The training may end earlier, but has no more of them.
    """
    steps = int(state.max_steps)
    if isinstance(every, int):
        return max(1, steps // every)
    if every == "save" and str(getattr(args.save_strategy, "value", args.save_strategy)) == "steps":
        return max(1, ceil(steps / max(1, int(state.save_steps))))
    return max(1, ceil(float(state.num_train_epochs)))


def stop_level(number: int, planned: int, checks: int = 1) -> float:
    """Return the level of each of *checks* at the checkpoint *number*, from 1 to *planned*.

    The levels of all checkpoints add up to *STOP_ALARM*. The first ones get more of it: what a
    training forgets it mostly forgets at the beginning, and there a stop saves most.
    """
    harmonic = sum(1.0 / one for one in range(1, max(planned, number) + 1))
    return STOP_ALARM / (number * harmonic * max(1, checks))


def may_exceed(verdict: Verdict) -> bool:
    """Return True if a drop is shown that may be larger than its limit."""
    return any(map(_may_exceed, _comparisons(verdict)))


def doubtful_gates(verdicts: Sequence[Verdict], stop_on: Collection[str]) -> list[str]:
    """Return the gates of *stop_on* that have dropped, perhaps by chance, perhaps too far.

    They are evaluated on all cases: part of them shows a drop late, often when the gate fails.
    """
    chosen = [verdict for verdict in verdicts if verdict.gate in stop_on]
    return [verdict.gate for verdict in chosen if any(map(_is_doubtful, _comparisons(verdict)))]


def stopping_gates(
    verdicts: Sequence[Verdict], stop_on: Collection[str], number: int, planned: int
) -> list[str]:
    """Return the gates of *stop_on* with a drop that ends the training at checkpoint *number*."""
    chosen = [verdict for verdict in verdicts if verdict.gate in stop_on]
    level = stop_level(number, planned, sum(len(_comparisons(verdict)) for verdict in chosen))
    return [
        verdict.gate
        for verdict in chosen
        if any(
            _may_exceed(check) and check.p_fail is not None and check.p_fail <= level
            for check in _comparisons(verdict)
        )
    ]


def _comparisons(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if check.before is not None]


def _may_exceed(check: Check) -> bool:
    """Return True if the interval of the change ends below 0, and begins beyond the limit."""
    return _is_doubtful(check) and check.high is not None and check.high < 0


def _is_doubtful(check: Check) -> bool:
    """Return True if there is a drop, and the interval of the change begins beyond the limit."""
    change, low = check.change, check.low
    return change is not None and change < 0 and low is not None and low < -check.limit
