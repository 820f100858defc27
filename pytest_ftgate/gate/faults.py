"""How replies break their form: how often each way, on both sides, and what lies behind it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pytest_ftgate.gate.numbers.proportion import wilson
from pytest_ftgate.gate.side import side
from pytest_ftgate.gate.verdict import Check, Example, FaultShare, Outcome
from pytest_ftgate.score.reader import Broken
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import RateGate

__all__ = ["fault_shares", "forms", "rule_shares", "what_changed"]

_CONFIDENCE = 0.95
#: So many replies are quoted for a fault, and so many characters of each.
_EXAMPLES, _QUOTED = 3, 300
#: What a model does that a lenient reader would not mind: of late, and all along.
_HABITS = {
    "fenced": ("began to fence {}", "fences {}"),
    "preamble": ("began to write before {}", "writes before {}"),
    "trailing text": ("began to write after {}", "writes after {}"),
    "wrong label casing": ("began to change case or marks of {}", "changes case or marks of {}"),
    "invalid syntax": ("began to leave stray commas in {}", "leaves stray commas in {}"),
}
_NAMES = {
    "choice": "its labels",
    "json_schema": "its JSON",
    "pydantic": "its JSON",
    "xml": "its XML",
    "csv": "its CSV",
    "markdown": "its tables",
    "code": "its code",
}
#: A lenient rate that falls by less than this part of the strict one is said not to fall.
_LITTLE = 0.1


@dataclass(frozen=True, slots=True)
class _Count:
    """How often each name occurs among the replies of *n* cases, and as a mean of the cases."""

    n: int
    replies: Counter[str]
    cases: Counter[str]


def _counted(column: Column, names: Callable[[Broken], Iterable[str]]) -> _Count:
    replies: Counter[str] = Counter()
    cases: dict[str, float] = defaultdict(float)
    n = 0
    for row in column.rows.values():
        if not row.case.format or not row.scores:
            continue
        n += 1
        for score in row.scores:
            for name in names(score.broken) if score.broken else ():
                replies[name] += 1
                cases[name] += 1 / len(row.scores)
    return _Count(n, replies, Counter(cases))


def fault_shares(before: Column | None, after: Column) -> tuple[FaultShare, ...]:
    """Return how often each kind of fault occurs, the one that grew most first.

    Args:
        before: the side compared with, or None where there is none.
        after: the variant.
    """
    shares = _shares(before, after, lambda broken: (broken.kind,))
    return tuple(replace(one, examples=_examples(one, after)) for one in shares)


def _examples(share: FaultShare, column: Column) -> tuple[Example, ...]:
    """Return the first replies with a fault that is new, or commoner than chance explains."""
    if share.before and share.low <= share.before:
        return ()
    found = (
        Example(case=row.case.id, said=reply.text[:_QUOTED], detail=score.broken.detail)
        for row in column.rows.values()
        for reply, score in zip(row.replies, row.scores, strict=True)
        if score.broken and score.broken.kind == share.kind
    )
    return tuple(islice(found, _EXAMPLES))


def rule_shares(before: Column | None, after: Column) -> tuple[FaultShare, ...]:
    """Return how often each rule is broken, where a form has several; else nothing."""
    if all(len(case.format) < 2 for case in after.cases):  # noqa: PLR2004 - one is told by its faults
        return ()
    return _shares(before, after, lambda broken: dict.fromkeys(broken.rules))


def _shares(
    before: Column | None, after: Column, names: Callable[[Broken], Iterable[str]]
) -> tuple[FaultShare, ...]:
    now, was = _counted(after, names), _counted(before, names) if before else None
    kinds = {*now.replies, *(was.replies if was else ())}
    shares = [_share(kind, now, was) for kind in kinds if now.n]
    return tuple(sorted(shares, key=lambda one: ((one.before or 0) - one.after, one.kind)))


def _share(kind: str, now: _Count, was: _Count | None) -> FaultShare:
    low, high = wilson(float(now.cases[kind]), now.n, _CONFIDENCE)
    told = FaultShare(
        kind=kind,
        replies=now.replies[kind],
        after=now.cases[kind] / now.n,
        low=float(low),
        high=float(high),
    )
    if was is None or not was.n:
        return told
    low, high = wilson(float(was.cases[kind]), was.n, _CONFIDENCE)
    share = was.cases[kind] / was.n
    return replace(told, before=share, before_low=float(low), before_high=float(high))


def forms(gate: RateGate, before: Column | None, after: Column) -> dict[str, Any]:
    """Return what a verdict of *gate* tells of broken forms, by the names that it has for it.

    Args:
        gate: the accuracy or the format gate.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
    """
    if gate.kind != "format":
        return {}
    return {
        "faults": fault_shares(before, after),
        "broken_rules": rule_shares(before, after),
        "meant": _meant(after),
        "meant_before": _meant(before) if before else None,
    }


def _meant(column: Column) -> float | None:
    """Return the share of replies that hold their form for a lenient reader."""
    return side(column, "meant").mean if column.formed.any() else None


def what_changed(gate: RateGate, check: Check, before: Column | None, after: Column) -> str:
    """Say in a few words what a model does to its replies, where only a strict reader minds.

    "" where the gate is another, or where replies are broken for a lenient reader as well.

    Args:
        gate: the accuracy or the format gate.
        check: the one that decided.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
    """
    if gate.kind != "format" or check.outcome is Outcome.PASSED or not after.formed.any():
        return ""
    compared = before if check.before is not None and check.against != "accepted" else None
    strict = check.limit if check.before is None else check.before
    lenient = side(compared, "meant").mean if compared else strict
    if lenient - side(after, "meant").mean > _LITTLE * max(strict - check.after, 0.0):
        return ""
    shares = [one for one in fault_shares(compared, after) if one.kind in _HABITS and one.replies]
    return _habit(shares[0], after) if shares else ""


def _habit(share: FaultShare, column: Column) -> str:
    late, plain = _HABITS[share.kind]
    is_new = share.before is not None and share.before < share.after / 2
    told = (late if is_new else plain).format(_name(column, share.kind))
    count = sum(len(row.scores) for row in column.rows.values() if row.case.format)
    return f"{share.kind}: the model {told}, {share.replies:,} of {count:,} replies"


def _name(column: Column, kind: str) -> str:
    broken: Sequence[Broken] = [
        score.broken
        for row in column.rows.values()
        for score in row.scores
        if score.broken and score.broken.kind == kind and score.broken.rules
    ]
    rules = Counter(one.rules[0] for one in broken).most_common(1)
    return _NAMES.get(rules[0][0], "its replies") if rules else "its replies"
