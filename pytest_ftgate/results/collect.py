"""Collects what the run record contains of each suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from math import ceil
from statistics import fmean
from typing import Literal

import numpy as np

from pytest_ftgate.gates.checks import check_minimum
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.skills import skill_reply_scores
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.workload import base_name
from pytest_ftgate.results.run import Answer, CaseRun, ConfusionMatrix, Rate, SuiteRun, VariantRun
from pytest_ftgate.scoring.classification import label_predictions
from pytest_ftgate.scoring.scorers import expected_text, tool_call_text
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.model import Case, Suite, Variant
from pytest_ftgate.suite.prices import request_price

#: Which cases a variant answers.
CaseSet = Literal["task", "skills", "held out"]
#: By case set and variant, the results by case id.
_Results = Mapping[tuple[CaseSet, str], Mapping[str, CaseResult]]
#: The most characters of a text in the record.
_MAX_CHARACTERS = 20_000


def collect_suite_run(suite: Suite, scores: Iterable[tuple[CaseSet, VariantScores]]) -> SuiteRun:
    """Return the part of the run record about *suite*.

    Of several results for a case, the one with most replies counts.
    """
    results: dict[tuple[CaseSet, str], dict[str, CaseResult]] = {}
    for case_set, variant_scores in scores:
        merged = results.setdefault((case_set, variant_scores.variant), {})
        for case_id, result in variant_scores.results.items():
            if case_id not in merged or len(result.scores) >= len(merged[case_id].scores):
                merged[case_id] = result
    task_scores = [
        VariantScores(variant, merged)
        for (case_set, variant), merged in results.items()
        if case_set == "task"
    ]
    return SuiteRun(
        name=suite.name,
        baseline=suite.baseline,
        bases={name: base_name(v) for name, v in suite.variants.items() if v.tuned},
        variants=tuple(_variant_run(suite.variants[s.variant], s) for s in task_scores),
        cases=tuple(_case_runs(suite, results)),
        confusions=tuple(chain.from_iterable(_confusion(suite, s) for s in task_scores)),
    )


def merge_suite_runs(runs: Iterable[SuiteRun]) -> SuiteRun:
    """Return one record of a suite from those of several processes.

    Of several records of a case or a variant, the one with most replies counts.
    """
    runs = list(runs)
    cases: dict[tuple[str, str], CaseRun] = {}
    for case in chain.from_iterable(run.cases for run in runs):
        merged = cases.setdefault((case.case_set, case.id), case)
        answers = _merge_answers(merged.answers, case.answers)
        cases[case.case_set, case.id] = replace(case, answers=answers)
    variants: dict[str, VariantRun] = {}
    for variant in chain.from_iterable(run.variants for run in runs):
        known = variants.setdefault(variant.name, variant)
        variants[variant.name] = max(known, variant, key=lambda one: one.replies)
    tables = chain.from_iterable(run.confusions for run in runs)
    ranked = sorted(tables, key=lambda table: sum(map(sum, table.counts)))
    return replace(
        runs[0],
        variants=tuple(sorted(variants.values(), key=lambda variant: variant.line)),
        cases=tuple(cases.values()),
        confusions=tuple({table.variant: table for table in ranked}.values()),
    )


def _merge_answers(first: Mapping[str, Answer], second: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return for each variant the answer with most repeats."""
    merged = dict(first)
    for variant, answer in second.items():
        if variant not in merged or answer.repeats > merged[variant].repeats:
            merged[variant] = answer
    return merged


def _case_runs(suite: Suite, results: _Results) -> Iterable[CaseRun]:
    cases: dict[tuple[CaseSet, str], Case] = {}
    answers: dict[tuple[CaseSet, str], dict[str, Answer]] = {}
    for (case_set, variant), by_case in results.items():
        for case_id, result in by_case.items():
            cases.setdefault((case_set, case_id), result.case)
            answer = _answer(suite.variants.get(variant), result)
            # As in its gate, a reply to a skills case is correct only with a valid format.
            if case_set == "skills" and result.replies:
                answer = replace(answer, correct=fmean(skill_reply_scores(result)))
            answers.setdefault((case_set, case_id), {})[variant] = answer
    for (case_set, case_id), case in cases.items():
        yield CaseRun(
            id=case_id,
            case_set=case_set,
            location=case.location,
            input=_storable(case.input_text),
            expected=_storable(expected_text(case)),
            tags=case.tags,
            skill=case.skill or "",
            difficulty=case.difficulty,
            language=case.language or "",
            answers=answers[case_set, case_id],
        )


def _answer(variant: Variant | None, result: CaseResult) -> Answer:
    """Return the first reply of *result*; without a price if *variant* is None, as for a base."""
    if not result.replies:
        reason = next(iter(result.missing_reasons), "no reply")
        return Answer(repeats=0, missing=_storable(reason))
    reply, score = result.replies[0], result.scores[0]
    error = score.format_error
    cost = request_price(variant.tariff, reply.usage) if variant else None
    return Answer(
        text=_storable(reply.text),
        correct=result.correct,
        valid=result.valid,
        repeats=len(result.scores),
        format_error=_storable(f"{error.kind}: {error.detail}".rstrip(": ")) if error else "",
        content_error=_storable(score.reason),
        stop=reply.stop,
        tokens=reply.usage,
        seconds=round(reply.seconds, 4),
        usd=None if cost is None else float(cost),
        tool_calls=tuple(_storable(tool_call_text(call)) for call in reply.tool_calls),
        passages=tuple(
            _storable(f"{passage.source}: {passage.text}") for passage in reply.passages
        ),
        thought=_storable(reply.thought),
    )


def _storable(text: str) -> str:
    """Return *text*, shortened with a count, and with surrogates escaped, so that it is UTF-8."""
    more = len(text) - _MAX_CHARACTERS
    text = text[:_MAX_CHARACTERS] + (f"… {more:,} more characters" if more > 0 else "")
    return text.encode("utf-8", "backslashreplace").decode()


def _variant_run(variant: Variant, scores: VariantScores) -> VariantRun:
    replies = [reply for result in scores.results.values() for reply in result.replies]
    seconds = sorted(reply.seconds for reply in replies if reply.seconds)
    return VariantRun(
        name=variant.name,
        line=variant.line,
        gated=variant.gated,
        provider=variant.provider,
        model=variant.model,
        system=_storable(variant.system or ""),
        replies=len(replies),
        accuracy=_rate(scores, "accuracy"),
        format=_rate(scores, "format"),
        usd_per_1k=_usd_per_1k(variant, replies),
        tokens=_mean_tokens(replies),
        p50_ms=_quantile_ms(seconds, 0.5),
        p95_ms=_quantile_ms(seconds, 0.95),
    )


def _rate(scores: VariantScores, kind: str) -> Rate | None:
    if not (scores.scorable if kind == "accuracy" else scores.has_format).any():
        return None
    check = check_minimum(samples_from_scores(scores, kind), minimum=0.0)
    if check.low is None or check.high is None:
        return None
    return Rate(value=check.after, low=check.low, high=check.high, n=check.n)


def _usd_per_1k(variant: Variant, replies: list[Reply]) -> float | None:
    costs = [request_price(variant.tariff, reply.usage) for reply in replies]
    known = [float(cost) for cost in costs if cost is not None]
    return 1000 * sum(known) / len(known) if known else None


def _mean_tokens(replies: list[Reply]) -> float | None:
    """Return the mean of input and output tokens together, over replies with a count."""
    totals = [sum(reply.usage.get(kind, 0) for kind in ("input", "output")) for reply in replies]
    known = [total for total in totals if total]
    return sum(known) / len(known) if known else None


def _quantile_ms(sorted_seconds: list[float], share: float) -> float | None:
    if not sorted_seconds:
        return None
    return 1000 * sorted_seconds[ceil(share * len(sorted_seconds)) - 1]


def _confusion(suite: Suite, scores: VariantScores) -> Iterable[ConfusionMatrix]:
    """Yield the confusion matrix if the replies of the suite are labels."""
    labels = suite.labels
    predictions = label_predictions(scores, labels)
    if not predictions.case_ids:
        return
    answered = predictions.select(predictions.has_reply)
    table = np.zeros((len(labels), len(labels) + 1), dtype=int)
    np.add.at(table, (answered.expected, answered.predicted), 1)
    counts = tuple(tuple(int(count) for count in row) for row in table)
    yield ConfusionMatrix(variant=scores.variant, labels=labels, counts=counts)
