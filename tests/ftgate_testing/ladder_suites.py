"""Scores and verdicts of the reference case, without any request."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ftgate_testing.reference_case import LABELS, answers
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import Evidence, GitFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores

TODAY = date(2026, 11, 25)
QUIET = GitFacts(days=90, changes={"prompt": 1, "cases": 1, "suite": 2}, commits=3)


def score_rung(suite, name, wrong, **usage):
    """Score *name*, which gets the cases *wrong* wrong."""
    rows = {}
    for n, case in enumerate(suite.cases):
        text = LABELS[(n + 1) % 18] if n in wrong else answers()[n]
        tokens = {key: value(n) if callable(value) else value for key, value in usage.items()}
        reply = Reply(text=text, usage=tokens, seconds=0.1 + n % 10 / 100)
        rows[case.id] = CaseResult(
            case, (reply,), (Score(float(n not in wrong), None),), (f"{name} {n}",)
        )
    return VariantScores(name, rows)


def evidence_on(suite, wrong_cases, without=(), **known):
    """Return the evidence on the reference case, without some variants, and with other facts."""
    scores = {
        name: score_rung(suite, name, wrong_cases[name])
        for name in suite.variants
        if name not in without
    }
    rows = {"lora": 800, "hosted": 800}
    found = Evidence(
        suite=suite, scores=scores, verdicts=(), today=TODAY, git=QUIET, training_rows=rows,
        examples=800,
    )  # fmt: skip
    return replace(found, **known)


def verdict(variant, gate="accuracy", outcome=Outcome.PASSED):
    return Verdict(
        suite="tickets.ftgate.yaml", line=1, gate=gate, variant=variant, outcome=outcome,
        statement=Statement(StatementKind.RATE, {"measure": "accuracy"}),
    )  # fmt: skip
