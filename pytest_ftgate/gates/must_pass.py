"""Must-pass cases: a single wrong reply to one of them fails the accuracy gate."""

from __future__ import annotations

from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.model import Suite

#: The number of replies to a must-pass case whose first reply is wrong; the majority decides.
MUST_PASS_REPEATS = 3
_HALF = 0.5


def must_pass_ids(suite: Suite) -> frozenset[str]:
    """Return the ids of the must-pass cases, which every look includes."""
    return frozenset(case.id for case in suite.cases if case.must_pass)


def wrong_must_pass_ids(scores: VariantScores) -> tuple[str, ...]:
    """Return the ids of the must-pass cases that are wrong, so that they can be repeated."""
    return tuple(
        case_id
        for case_id, result in scores.results.items()
        if result.case.must_pass and _is_wrong(result)
    )


def check_must_pass(scores: VariantScores, repeated: VariantScores | None) -> Check | None:
    """Return the check of the must-pass cases, or None if there are none.

    Cases of *scores* that are not must-pass are ignored. *repeated* has the scores of the wrong
    must-pass cases with repeated requests; it is None if replies do not vary.
    """
    cases = [result for result in scores.results.values() if result.case.must_pass]
    if not cases:
        return None
    again = repeated.results if repeated else {}
    wrong = [
        result
        for result in cases
        if _is_wrong(result) and _is_wrong(again.get(result.case.id, result))
    ]
    missing = sum(not result.scores for result in cases)
    outcome = Outcome.FAILED if wrong else Outcome.INCONCLUSIVE if missing else Outcome.PASSED
    return Check(
        kind=CheckKind.MUST_PASS,
        outcome=outcome,
        limit=1.0,
        n=len(cases) - missing,
        effective=len(cases) - missing,
        after=(len(cases) - missing - len(wrong)) / max(1, len(cases) - missing),
        missing=missing,
        case_ids=tuple(result.case.id for result in wrong),
    )


def _is_wrong(result: CaseResult) -> bool:
    return result.correct is not None and result.correct <= _HALF
