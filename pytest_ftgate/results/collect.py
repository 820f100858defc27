"""Collects what the run record holds of each case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from math import ceil
from statistics import fmean
from typing import Literal

import numpy as np

from pytest_ftgate.gates.checks import floor
from pytest_ftgate.gates.samples import side
from pytest_ftgate.gates.skills import worths
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.run import Answer, CaseRun, Confusion, Rate, SuiteRun, VariantRun
from pytest_ftgate.scoring.classification import guesses
from pytest_ftgate.scoring.scorers import shown_expected, shown_use
from pytest_ftgate.scoring.scores import Column, Row
from pytest_ftgate.suite.model import Case, Suite, Variant
from pytest_ftgate.suite.prices import price

__all__ = ["Asks", "joined", "tell"]

#: Which cases were put to a variant.
Asks = Literal["task", "skills", "held out"]
#: A reply is told up to so many characters, and then how many there are more.
_LONGEST = 20_000


def tell(suite: Suite, columns: Iterable[tuple[Asks, Column]]) -> SuiteRun:
    """Return what is known of *suite* by its *columns*; of a case with several, the fullest."""
    rows: dict[tuple[Asks, str], dict[str, Row]] = {}
    for asks, column in columns:
        own = rows.setdefault((asks, column.variant), {})
        for key, row in column.rows.items():
            if key not in own or len(row.scores) >= len(own[key].scores):
                own[key] = row
    task = [Column(name, own) for (asks, name), own in rows.items() if asks == "task"]
    return SuiteRun(
        name=suite.name,
        baseline=suite.baseline,
        variants=tuple(_variant(suite.variants[one.variant], one) for one in task),
        cases=tuple(_cases(suite, rows)),
        confusions=tuple(chain.from_iterable(_confusion(suite, column) for column in task)),
    )


def joined(runs: Iterable[SuiteRun]) -> SuiteRun:
    """Return what several processes know of one suite; where they differ, who knows most."""
    runs = list(runs)
    cases: dict[tuple[str, str], CaseRun] = {}
    for one in chain.from_iterable(run.cases for run in runs):
        known = cases.setdefault((one.asks, one.id), one)
        cases[one.asks, one.id] = replace(one, answers=_fullest(known.answers, one.answers))
    variants = sorted(chain.from_iterable(run.variants for run in runs), key=lambda v: v.replies)
    tables = chain.from_iterable(run.confusions for run in runs)
    ranked = sorted(tables, key=lambda one: sum(map(sum, one.counts)))
    named = {one.name: one for one in variants}
    return replace(
        runs[0],
        variants=tuple(sorted(named.values(), key=lambda one: one.line)),
        cases=tuple(cases.values()),
        confusions=tuple({one.variant: one for one in ranked}.values()),
    )


def _fullest(mine: Mapping[str, Answer], other: Mapping[str, Answer]) -> dict[str, Answer]:
    pairs = {
        name: [one[name] for one in (mine, other) if name in one] for name in {**mine, **other}
    }
    return {name: max(both, key=lambda one: one.repeats) for name, both in pairs.items()}


def _cases(suite: Suite, rows: Mapping[tuple[Asks, str], Mapping[str, Row]]) -> Iterable[CaseRun]:
    cases: dict[tuple[Asks, str], Case] = {}
    answers: dict[tuple[Asks, str], dict[str, Answer]] = {}
    for (asks, variant), own in rows.items():
        for key, row in own.items():
            cases.setdefault((asks, key), row.case)
            told = _answer(suite.variants.get(variant), row)
            # A skill counts as its gate counts it: right, and in the form that it asks for.
            if asks == "skills" and row.replies:
                told = replace(told, correct=fmean(worths(row)))
            answers.setdefault((asks, key), {})[variant] = told
    for (asks, key), case in cases.items():
        yield CaseRun(
            id=key,
            asks=asks,
            where=case.where,
            asked=_storable(case.shown),
            expected=_storable(shown_expected(case)),
            tags=case.tags,
            skill=case.skill or "",
            difficulty=case.difficulty,
            language=case.language or "",
            answers=answers[asks, key],
        )


def _answer(variant: Variant | None, row: Row) -> Answer:
    """Return the first reply of *row*; without a *variant*, as of a base, its price is not told."""
    if not row.replies:
        return Answer(repeats=0, missing=_storable(next(iter(row.missing), "no reply")))
    reply, score = row.replies[0], row.scores[0]
    broken = score.broken
    cost = price(variant.tariff, reply.usage) if variant else None
    return Answer(
        text=_storable(reply.text),
        correct=row.correct,
        valid=row.valid,
        repeats=len(row.scores),
        fault=_storable(f"{broken.kind}: {broken.detail}".rstrip(": ")) if broken else "",
        wrong=_storable(score.why),
        stop=reply.stop,
        tokens=reply.usage,
        seconds=round(reply.seconds, 4),
        usd=None if cost is None else float(cost),
        called=tuple(_storable(shown_use(use)) for use in reply.tool_calls),
        passages=tuple(_storable(f"{one.source}: {one.text}") for one in reply.passages),
    )


def _storable(text: str) -> str:
    """Return *text*, cut with a count; half a character, as a cut may leave, is written out."""
    more = len(text) - _LONGEST
    text = text[:_LONGEST] + (f"… {more:,} more characters" if more > 0 else "")
    return text.encode("utf-8", "backslashreplace").decode()


def _variant(variant: Variant, column: Column) -> VariantRun:
    replies = [reply for row in column.rows.values() for reply in row.replies]
    seconds = sorted(reply.seconds for reply in replies if reply.seconds)
    return VariantRun(
        name=variant.name,
        line=variant.line,
        gated=variant.gated,
        provider=variant.provider,
        model=variant.model,
        system=_storable(variant.system or ""),
        replies=len(replies),
        accuracy=_rate(column, "accuracy"),
        form=_rate(column, "format"),
        usd_per_1k=_price(variant, replies),
        tokens=_tokens(replies),
        p50_ms=_quantile(seconds, 0.5),
        p95_ms=_quantile(seconds, 0.95),
    )


def _rate(column: Column, kind: str) -> Rate | None:
    if not (column.marked if kind == "accuracy" else column.formed).any():
        return None
    check = floor(side(column, kind), least=0.0)
    if check.low is None or check.high is None:
        return None
    return Rate(value=check.after, low=check.low, high=check.high, n=check.n)


def _price(variant: Variant, replies: list[Reply]) -> float | None:
    costs = [price(variant.tariff, reply.usage) for reply in replies]
    known = [float(one) for one in costs if one is not None]
    return 1000 * sum(known) / len(known) if known else None


def _tokens(replies: list[Reply]) -> float | None:
    told = [sum(reply.usage.get(kind, 0) for kind in ("input", "output")) for reply in replies]
    known = [one for one in told if one]
    return sum(known) / len(known) if known else None


def _quantile(ranked: list[float], share: float) -> float | None:
    """Return a quantile in milliseconds of *ranked* seconds, which are in order."""
    return 1000 * ranked[ceil(share * len(ranked)) - 1] if ranked else None


def _confusion(suite: Suite, column: Column) -> Iterable[Confusion]:
    """Yield what was said for each label, where the replies are labels."""
    labels = tuple(str(x) for r in suite.reply.format if r.kind == "choice" for x in r.value)
    found = guesses(column, labels)
    if not found.keys:
        return
    known = found.where(found.known)
    counts = np.zeros((len(labels), len(labels) + 1), dtype=int)
    np.add.at(counts, (known.expected, known.said), 1)
    told = tuple(tuple(int(count) for count in row) for row in counts)
    yield Confusion(variant=column.variant, labels=labels, counts=told)
