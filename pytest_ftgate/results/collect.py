"""Collects what the run record contains of each suite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from statistics import fmean
from typing import Literal

import numpy as np

from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.measures import variant_figures
from pytest_ftgate.gates.skills import skill_reply_scores
from pytest_ftgate.requests.reply import reply_price
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.results.run import Answer, CaseRun, ConfusionMatrix, SuiteRun, VariantRun
from pytest_ftgate.scoring.classification import count_pairs, label_predictions
from pytest_ftgate.scoring.scorers import expected_text, tool_call_text
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.model import Suite, Variant

#: Which cases a variant answers.
CaseSet = Literal["task", "skills", "held out"]
#: The most characters of a text in the record.
_MAX_CHARACTERS = 20_000


def collect_suite_run(
    suite: Suite,
    scores: Iterable[tuple[CaseSet, VariantScores]],
    judges: Mapping[VariantScores, JudgeEvidence] | None = None,
) -> SuiteRun:
    """Return the part of the run record about *suite*.

    Of several results for a case, the one with most replies counts. The figures of a variant are
    those of its scores with most cases, as its gates evaluate them; *judges* is the evidence about
    the judges that graded them.
    """
    results: dict[tuple[CaseSet, str], dict[str, CaseResult]] = defaultdict(dict)
    fullest: dict[str, VariantScores] = {}
    for case_set, variant_scores in scores:
        name = variant_scores.variant
        if case_set == "task":
            fullest[name] = max(fullest.get(name, variant_scores), variant_scores, key=_size)
        for case_id, result in variant_scores.results.items():
            of_case = results[case_set, case_id]
            if name not in of_case or len(result.scores) >= len(of_case[name].scores):
                of_case[name] = result
    known = judges or {}
    return SuiteRun(
        name=suite.name,
        baseline=suite.baseline,
        bases={name: base_name(v) for name, v in suite.variants.items() if v.tuned},
        variants=tuple(
            _variant_run(suite, chosen, known.get(chosen)) for chosen in fullest.values()
        ),
        cases=tuple(
            _case_run(suite, case_set, of_case) for (case_set, _), of_case in results.items()
        ),
        confusions=tuple(
            chain.from_iterable(_confusion(suite, chosen) for chosen in fullest.values())
        ),
    )


def _size(scores: VariantScores) -> tuple[int, int, int]:
    """Return the number of cases, of replies, and of cases whose content has a score."""
    return len(scores.results), len(scores.replies), int(np.isfinite(scores.correct).sum())


def merge_suite_runs(runs: Iterable[SuiteRun]) -> SuiteRun:
    """Return one record of a suite from those of several processes.

    Of several records of a case or a variant, the one with most replies counts.
    """
    runs = list(runs)
    cases: dict[tuple[str, str], CaseRun] = {}
    for case in chain.from_iterable(run.cases for run in runs):
        answers = dict(cases.get((case.case_set, case.id), case).answers)
        for name, answer in case.answers.items():
            # Of two alike the first stays.
            answers[name] = max(answers.get(name, answer), answer, key=lambda one: one.repeats)
        cases[case.case_set, case.id] = replace(case, answers=answers)
    variant_by_name: dict[str, VariantRun] = {}
    for variant in chain.from_iterable(run.variants for run in runs):
        known = variant_by_name.setdefault(variant.name, variant)
        # Judges may have graded the replies in one process alone.
        fullest = max(known, variant, key=lambda one: (one.replies, len(one.figures)))
        variant_by_name[variant.name] = fullest
    tables = chain.from_iterable(run.confusions for run in runs)
    ranked = sorted(tables, key=lambda table: sum(map(sum, table.counts)))
    return replace(
        runs[0],
        variants=tuple(sorted(variant_by_name.values(), key=lambda variant: variant.line)),
        cases=tuple(cases.values()),
        confusions=tuple({table.variant: table for table in ranked}.values()),
    )


def _case_run(suite: Suite, case_set: CaseSet, results: Mapping[str, CaseResult]) -> CaseRun:
    """Return one case with its *results* by variant."""
    case = next(iter(results.values())).case
    return CaseRun(
        id=case.id,
        case_set=case_set,
        location=case.location,
        input=_storable(case.input_text),
        expected=_storable(expected_text(case)),
        tags=case.tags,
        skill=case.skill or "",
        difficulty=case.difficulty,
        language=case.language or "",
        answers={
            name: _answer(suite.variants.get(name), result, case_set)
            for name, result in results.items()
        },
    )


def _answer(variant: Variant | None, result: CaseResult, case_set: CaseSet) -> Answer:
    """Return the first reply of *result*; without a price if *variant* is None, as for a base."""
    if not result.replies:
        reason = next(iter(result.missing_reasons), "no reply")
        return Answer(repeats=0, missing=_storable(reason))
    reply, score = result.replies[0], result.scores[0]
    error = score.format_error
    cost = reply_price(variant.tariff, reply) if variant else None
    return Answer(
        text=_storable(reply.text),
        # As in its gate, a reply to a skills case is correct only with a valid format.
        correct=fmean(skill_reply_scores(result)) if case_set == "skills" else result.correct,
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


def _variant_run(suite: Suite, scores: VariantScores, judges: JudgeEvidence | None) -> VariantRun:
    variant = suite.variants[scores.variant]
    return VariantRun(
        name=variant.name,
        line=variant.line,
        gated=variant.gated,
        provider=variant.provider,
        model=variant.model,
        system=_storable(variant.system or ""),
        replies=len(scores.replies),
        figures=variant_figures(suite, scores, judges),
    )


def _confusion(suite: Suite, scores: VariantScores) -> Iterable[ConfusionMatrix]:
    """Yield the confusion matrix if the replies of the suite are labels."""
    labels = suite.labels
    predictions = label_predictions(scores, labels)
    if not predictions.case_ids:
        return
    table = count_pairs(predictions.select(predictions.has_reply))[:-1]
    counts = tuple(map(tuple, table.tolist()))
    yield ConfusionMatrix(variant=scores.variant, labels=labels, counts=counts)
