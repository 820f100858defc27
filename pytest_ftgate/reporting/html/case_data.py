"""The cases of a run as compressed data of the page, within a size limit, and their labels."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.number_text import usd
from pytest_ftgate.results.run import Answer, CaseRun, ConfusionMatrix, Report, SuiteRun
from pytest_ftgate.scoring.score import NO_LABEL
from pytest_ftgate.scoring.text_scorers import find_label

#: The most changes of labels that are listed.
_MAX_CHANGES = 12
#: Steps of the colours of a matrix.
_SHADES = 9


class LabelReader:
    """Finds the labels of cases and replies by number: -1 for none, len(labels) for no label.

    Attributes:
        labels: those of the suite; empty if its replies are no labels.
    """

    def __init__(self, suite: SuiteRun) -> None:
        self.labels: tuple[str, ...] = suite.confusions[0].labels if suite.confusions else ()
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        self._found: dict[str, int] = {}

    def expected(self, case: CaseRun) -> int:
        """Return the label that *case* expects; of several accepted ones the first."""
        is_task = case.case_set == "task"
        return self._numbers.get(case.expected.partition(" | ")[0], -1) if is_task else -1

    def said(self, case: CaseRun, answer: Answer) -> int:
        """Return the label of a reply; a right one has the expected label."""
        expected = self.expected(case)
        if expected < 0 or not answer.repeats:
            return -1
        return expected if answer.correct == 1.0 else self._label_of(answer.text)

    def _label_of(self, text: str) -> int:
        number = self._found.get(text)
        if number is None:
            label = find_label(text, self.labels)
            number = self._found[text] = self._numbers.get(label, len(self.labels))
        return number


class LabelChange(NamedTuple):
    """Cases of one expected label whose replies changed from one label to another."""

    expected: str
    before: str
    now: str
    cases: int


def confusion_values(report: Report) -> list[Mapping[str, Any]]:
    """Return the values of each confusion matrix, those of variants that failed first."""
    failed = {(v.suite, v.variant) for v in report.gated_verdicts if v.outcome is Outcome.FAILED}
    tables = [(suite, matrix) for suite in report.suites for matrix in suite.confusions]
    gated = {(s.name, v.name) for s in report.suites for v in s.variants if v.gated}
    tables.sort(
        key=lambda pair: (
            (pair[0].name, pair[1].variant) not in failed,
            pair[0].baseline == pair[1].variant,
            (pair[0].name, pair[1].variant) not in gated,
        )
    )
    return [_matrix_values(suite, matrix) for suite, matrix in tables]


def _matrix_values(suite: SuiteRun, matrix: ConfusionMatrix) -> Mapping[str, Any]:
    def cell_link(expected: str, said: str) -> str:
        return cases_link(suite.name, "accuracy", matrix.variant, expected=expected, said=said)

    def cells(before: ConfusionMatrix | None) -> list[list[Mapping[str, Any]]]:
        return [
            [_cell(matrix, row, n, cell_link(label, names[n]), before) for n in shown]
            for row, label in enumerate(matrix.labels)
        ]

    before = next((m for m in suite.confusions if m.variant == suite.baseline), None)
    # A change from a baseline whose replies are no labels cannot be read.
    has_labels = before is not None and any(any(row[:-1]) for row in before.counts)
    compared = has_labels and before is not matrix
    changes = label_changes(suite, matrix.variant) if compared else []
    names = [*matrix.labels, NO_LABEL]
    known = range(len(matrix.labels))
    shown = [n for n in range(len(names)) if n in known or any(row[n] for row in matrix.counts)]
    return {
        "suite": suite.name,
        "variant": matrix.variant,
        "against": suite.baseline,
        "labels": matrix.labels,
        "columns": [names[n] for n in shown],
        "changes": [(c, cell_link(c.expected, c.now)) for c in changes[:_MAX_CHANGES]],
        "left_out": sum(change.cases for change in changes[_MAX_CHANGES:]),
        "rows": cells(None),
        "deltas": cells(before) if compared else [],
    }


def _cell(
    matrix: ConfusionMatrix, row: int, column: int, link: str, before: ConfusionMatrix | None
) -> Mapping[str, Any]:
    """Return a count, or its change from *before*: more right or fewer wrong is good."""
    count, total = matrix.counts[row][column], max(1, sum(matrix.counts[row]))
    shown, text, good = count, str(count), row == column
    if before is not None:
        shown = count - before.counts[row][column]
        text, good = f"{shown:+}".replace("-", "\N{MINUS SIGN}"), (shown > 0) == good
    return {
        "text": text if shown else "",
        "good": good,
        "shade": min(_SHADES, -(-_SHADES * abs(shown) // total)),
        "link": link if shown and count else "",
    }


def label_changes(suite: SuiteRun, variant: str) -> Sequence[LabelChange]:
    """Return how the labels of replies differ from the baseline's: regressed ones first."""
    reader, counts = LabelReader(suite), Counter[tuple[int, int, int]]()
    for case in suite.cases if reader.labels and variant != suite.baseline else ():
        before, now = case.answers.get(suite.baseline), case.answers.get(variant)
        if before is None or now is None:
            continue
        numbers = (reader.expected(case), reader.said(case, before), reader.said(case, now))
        if min(numbers) >= 0 and numbers[1] != numbers[2]:
            counts[numbers] += 1
    names = [*reader.labels, NO_LABEL]
    changes = [
        LabelChange(names[expected], names[before], names[now], cases)
        for (expected, before, now), cases in counts.most_common()
    ]
    return sorted(changes, key=_change_rank)


def _change_rank(change: LabelChange) -> int:
    """Return a key that sorts regressed cases first, then fixed ones, then other changes."""
    if change.before == change.expected:
        return 0
    return 1 if change.now == change.expected else 2


#: Characters of the packed cases in base64; keeps a page below 3 MB.
_MAX_PACKED = 2_750_000
#: Characters of a text, if no further cut is needed.
_MAX_TEXT = 4_000
#: Attempts to fit the cases; each one leaves out more.
_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseData:
    """The packed cases, and a sentence on what is left out; "" if all is there."""

    text: str
    cases: int
    left_out: str = ""


def cases_link(suite: str, gate: str, variant: str, kind: str = "", **more: str) -> str:
    """Return the address, within the page, of the cases of a gate.

    *kind* and *more* are filters by name, as in the page's form; one that is "" chooses all.
    """
    values = {"suite": suite, "gate": gate, "variant": variant, "kind": kind, **more}
    chosen = {key: value for key, value in values.items() if value}
    return f"#{urlencode(chosen, errors='replace', quote_via=quote, safe='')}"


def verdict_link(verdict: Verdict, kind: str = "", **more: str) -> str:
    """Return the address, within the page, of the cases that *verdict* is about."""
    return cases_link(verdict.suite, verdict.gate, verdict.variant, kind, **more)


def is_explored(report: Report, verdict: Verdict) -> bool:
    """Return True if the cases that *verdict* is about are on the page."""
    explored = {suite.name for suite in report.suites if suite.cases}
    return bool(verdict.flips) and verdict.rates_cases and verdict.suite in explored


def pack_cases(report: Report) -> CaseData:
    """Return the cases of *report*, deflated, in base64.

    If they are too large, the texts of replies that neither regressed nor were fixed are left out
    first. Then all texts are cut.
    """
    texts, text_budget, max_text = _TextPool(_MAX_TEXT, inf), inf, _MAX_TEXT
    packed = ""
    for _ in range(_ATTEMPTS):
        texts = _TextPool(max_text, text_budget)
        document = json.dumps(texts.document(report), ensure_ascii=False, separators=(",", ":"))
        packed = _deflate(document)
        if len(packed) <= _MAX_PACKED:
            break
        excess = len(document) * (1.0 - 0.97 * _MAX_PACKED / len(packed))
        if texts.used > excess:
            text_budget = texts.used - excess
        else:
            text_budget, max_text = 0, max_text // 4
    return CaseData(
        text=packed,
        cases=sum(len(suite.cases) for suite in report.suites),
        left_out=_left_out_sentence(texts.left_out, max_text),
    )


def _left_out_sentence(left_out: int, max_text: int) -> str:
    parts = [f"the texts of {left_out:,} replies that did not turn are left out"] * bool(left_out)
    parts += [f"texts are cut to {max_text:,} characters"] * (max_text < _MAX_TEXT)
    return f"For size, {'; '.join(parts)}." if parts else ""


def _deflate(text: str) -> str:
    compressor = zlib.compressobj(6, wbits=-15)
    return b64encode(compressor.compress(text.encode()) + compressor.flush()).decode()


class _TextPool:
    """Builds the document of the page, with each text stored once and referred to by number.

    *max_text* limits the characters of a text, *budget* those of all replies that did not turn.

    Attributes:
        used: the characters of such replies in the document.
        left_out: the number of such replies without their text.
    """

    def __init__(self, max_text: int, budget: float) -> None:
        self._max_text, self._budget = max_text, budget
        self.left_out = self.used = 0
        self.texts: dict[str, int] = {"": 0}

    def document(self, report: Report) -> dict[str, Any]:
        families = _families(report)
        suites = [self._suite(suite, families.get(suite.name, {})) for suite in report.suites]
        return {"suites": suites, "texts": [*self.texts]}

    def _add(self, text: str) -> int:
        """Return the number of *text*, after storing it."""
        if len(text) > self._max_text:
            text = f"{text[: self._max_text]}… {len(text) - self._max_text:,} more characters"
        return self.texts.setdefault(text, len(self.texts))

    def _suite(self, suite: SuiteRun, families: Mapping[str, str]) -> dict[str, Any]:
        names = list(dict.fromkeys(name for case in suite.cases for name in case.answers))
        indices = {name: index for index, name in enumerate(names)}
        systems = {variant.name: variant.system for variant in suite.variants}
        reader = LabelReader(suite)
        return {
            "name": suite.name,
            "baseline": indices.get(suite.baseline, -1),
            "variants": names,
            "bases": [indices.get(suite.bases.get(name, ""), -1) for name in names],
            "systems": [self._add(systems.get(name, "")) for name in names],
            "labels": reader.labels,
            "cases": [
                list(self._case(suite, case, indices, reader, families.get(case.skill, "")))
                for case in suite.cases
            ],
        }

    def _case(
        self,
        suite: SuiteRun,
        case: CaseRun,
        indices: Mapping[str, int],
        reader: LabelReader,
        family: str,
    ) -> Iterator[Any]:
        yield from (case.id, int(case.case_set == "skills"), case.location)
        yield from (self._add(case.input), self._add(case.expected))
        held_out = "held out" if case.case_set == "held out" else ""
        yield [*case.tags, *filter(None, (held_out, family, case.skill, case.language))]
        before = _answer_before(suite, case)
        answers = []
        for name, answer in case.answers.items():
            with_text = _has_turned(before, answer) or self._fits(answer)
            said = [reader.said(case, answer)] if reader.labels else []
            answers.append([indices[name], *self._answer(answer, with_text=with_text), *said])
        yield answers
        if reader.labels:
            yield reader.expected(case)

    def _fits(self, answer: Answer) -> bool:
        """Return True if the text of a reply that did not turn is in the budget, and count it."""
        new = (text for text in (answer.text, answer.thought) if text not in self.texts)
        size = sum(min(len(text), self._max_text) for text in new)
        if size and self.used + size > self._budget:
            return False
        self.used += size
        return True

    def _answer(self, answer: Answer, *, with_text: bool) -> Iterator[Any]:
        self.left_out += not with_text and bool(answer.text)
        yield from (answer.correct, answer.valid, answer.repeats)
        yield self._add(answer.text) if with_text else -1
        yield self._add(answer.format_error or answer.missing)
        yield self._add(answer.content_error)
        yield round(1000 * answer.seconds)
        yield from (answer.tokens.get("input", 0), answer.tokens.get("output", 0))
        yield "" if answer.usd is None else usd(answer.usd)
        yield answer.stop
        yield [self._add(text) for text in answer.tool_calls] if with_text else []
        yield [self._add(text) for text in answer.passages] if with_text else []
        yield self._add(answer.thought) if with_text else 0


def _families(report: Report) -> dict[str, dict[str, str]]:
    """Return by suite the family of each skill that a forgetting gate tests."""
    families: dict[str, dict[str, str]] = {}
    for verdict in report.verdicts:
        for part in verdict.slices:
            if part.family and part.family != part.name:
                families.setdefault(verdict.suite, {})[part.name] = part.family
    return families


def _answer_before(suite: SuiteRun, case: CaseRun) -> Answer | None:
    """Return the reply that the others are compared with: the baseline's, else the first base's."""
    bases = (case.answers[name] for name in suite.bases.values() if name in case.answers)
    return case.answers.get(suite.baseline) or next(bases, None)


def _has_turned(before: Answer | None, answer: Answer) -> bool:
    """Return True if a reply regressed or was fixed; with nothing before, if it is wrong."""
    if before is None:
        return (answer.correct or 0.0) < 1.0
    return (before.correct, before.valid) != (answer.correct, answer.valid)
