"""Words for how what decides a gate has changed since a run was accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.gates.exam import ExamChange, ExamLoss, LossOfExam, LostCases
from pytest_ftgate.gates.units import quantity

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import Acceptance


#: What has become of accepted cases: of one, and of several.
_STATES = {
    "gone": ("is gone", "are gone"),
    "without weight": ("has no weight any more", "have no weight any more"),
    "changed": ("has changed", "have changed"),
}


def exam_phrase(change: ExamChange) -> str:
    """Return in a few words how the exam has shrunk."""
    return "record of an older form" if change.is_older else "less is tested than was accepted"


def exam_sentences(change: ExamChange) -> Iterator[str]:
    """Yield a sentence on each thing that has changed, the cases first."""
    if change.is_older:
        yield "the accepted record is of an older form; it does not say what decided"
    yield from (_lost_text(lost, change.accepted) for lost in change.lost)
    yield from map(_loss_text, change.losses)
    if change.came:
        came = "has come" if change.came == 1 else "have come"
        names = _names(change.came_ids, change.came)
        yield f"{quantity(change.came, 'case')} {came} since a run was accepted: {names}"


def _lost_text(lost: LostCases, accepted: int) -> str:
    state = _STATES[lost.kind][lost.count != 1]
    names = _names(lost.ids, lost.count)
    which = f"{'it is' if lost.count == 1 else 'they are'} {names}"
    if lost.right is not None:
        which = f"{lost.right} of them {'was' if lost.right == 1 else 'were'} right: {names}"
    return f"{lost.count} of {accepted} accepted cases {state}; {which}"


def _names(ids: tuple[str, ...], count: int) -> str:
    more = f" and {count - len(ids)} more" if count > len(ids) else ""
    return ", ".join(ids) + more


def _loss_text(loss: ExamLoss) -> str:
    values = f"{_value(loss.before)} is now {_value(loss.now)}"
    return {
        LossOfExam.GATE: f"the accepted gate {loss.name} is gone",
        LossOfExam.VARIANT: f"{loss.name} was accepted, and is not gated any more",
        LossOfExam.COMPARED: f"{loss.name} is not compared with the baseline any more",
        LossOfExam.LIMIT: f"{loss.name}: {values}, which lets more pass than what was accepted",
        LossOfExam.MUST_PASS: f"the case {loss.name} need not pass any more",
        LossOfExam.BASELINE: f"baseline: {values}",
    }[loss.kind]


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def acceptance_lines(acceptance: Acceptance) -> Iterator[str]:
    """Yield what a run has accepted, and what left, changed and came with it."""
    failed = acceptance.failed
    warning = f" ({failed} of its gates did not pass)" if failed else ""
    names = ", ".join(acceptance.names)
    yield f"accepted {names} in {acceptance.file}; commit it with the change{warning}"
    yield from _changes(acceptance.changes)
    if not acceptance.is_read:
        yield (
            f"no gate compares with the results in {acceptance.file}: max_drop: none, evidence: "
            "point, or another kind of gate"
        )


def _changes(changes: Mapping[str, ExamChange]) -> Iterator[str]:
    """Yield each change of the exam once, with the gates that it is about."""
    gates: dict[str, list[str]] = {}
    for gate, change in changes.items():
        for sentence in exam_sentences(change):
            gates.setdefault(sentence, []).append(gate)
    yield from (f"accepted {', '.join(names)}: {text}" for text, names in gates.items())
