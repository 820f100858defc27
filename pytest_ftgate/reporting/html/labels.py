"""Labels on the page: what each reply says, what changed, and the confusions of each variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.results.run import Answer, CaseRun, ConfusionMatrix, Report, SuiteRun
from pytest_ftgate.scoring.text_scorers import find_label

#: The column of replies that are no label.
NO_LABEL = "no label"
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


#: Returns the link to the cases of a variant, by the names of filters.
_Link = Callable[..., str]


def confusion_values(report: Report, link: Callable[..., str]) -> list[Mapping[str, Any]]:
    """Return the values of each confusion matrix, those of variants that failed first.

    *link* returns the address of the cases of suite, gate and variant with further filters.
    """
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
    return [_matrix_values(suite, matrix, link) for suite, matrix in tables]


def _matrix_values(suite: SuiteRun, matrix: ConfusionMatrix, link: _Link) -> Mapping[str, Any]:
    def cell_link(expected: str, said: str) -> str:
        return link(suite.name, "accuracy", matrix.variant, expected=expected, said=said)

    before = next((m for m in suite.confusions if m.variant == suite.baseline), None)
    compared = before is not None and before is not matrix and _has_labels(before)
    changes = label_changes(suite, matrix.variant) if compared else []
    names = [*matrix.labels, NO_LABEL]
    shown = [n for n, _ in enumerate(names) if n < len(matrix.labels) or _says(matrix, n)]
    return {
        "suite": suite.name,
        "variant": matrix.variant,
        "against": suite.baseline,
        "labels": matrix.labels,
        "columns": [names[n] for n in shown],
        "changes": [(c, cell_link(c.expected, c.now)) for c in changes[:_MAX_CHANGES]],
        "left_out": sum(change.cases for change in changes[_MAX_CHANGES:]),
        "rows": [
            [_cell(matrix, row, n, cell_link(label, names[n])) for n in shown]
            for row, label in enumerate(matrix.labels)
        ],
        "deltas": [
            [_delta(matrix, before, row, n, cell_link(label, names[n])) for n in shown]
            for row, label in enumerate(matrix.labels)
        ]
        if before is not None and compared
        else [],
    }


def _has_labels(matrix: ConfusionMatrix) -> bool:
    """Return True if any reply is a label, so that a change from it can be read."""
    return any(any(row[:-1]) for row in matrix.counts)


def _says(matrix: ConfusionMatrix, column: int) -> bool:
    return any(row[column] for row in matrix.counts)


def _cell(matrix: ConfusionMatrix, row: int, column: int, link: str) -> Mapping[str, Any]:
    count, total = matrix.counts[row][column], max(1, sum(matrix.counts[row]))
    return {
        "text": str(count) if count else "",
        "good": row == column,
        "shade": -(-_SHADES * count // total),
        "link": link if count else "",
    }


def _delta(
    matrix: ConfusionMatrix, before: ConfusionMatrix, row: int, column: int, link: str
) -> Mapping[str, Any]:
    """Return the change of a count; more right or fewer wrong is good."""
    change = matrix.counts[row][column] - before.counts[row][column]
    total = max(1, sum(matrix.counts[row]))
    return {
        "text": f"{change:+}".replace("-", "\N{MINUS SIGN}") if change else "",
        "good": (change > 0) == (row == column),
        "shade": min(_SHADES, -(-_SHADES * abs(change) // total)),
        "link": link if change and matrix.counts[row][column] else "",
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
