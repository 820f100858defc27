"""The checkpoints of a training side by side: what each came to, and where a loss begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.number_text import (
    first_names,
    level,
    points,
    quantity,
    short_change,
    with_more,
)
from pytest_ftgate.reporting.phrases import decimals
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.reporting.text import cell_count, escape_controls, line_width, wrap_lines
from pytest_ftgate.results.run import Report
from pytest_ftgate.suite.model import Checkpoint

#: What the columns of rates are called, by the gate.
RATES = {"accuracy": "accuracy", "format": "format", "forgetting": "general skills"}
_WORST_FIRST = (Outcome.INVALID, Outcome.FAILED, Outcome.INCONCLUSIVE)
#: What to know before one picks a checkpoint by its figures.
CAUTION = (
    "Each checkpoint has verdicts of its own. The one that looks best of several looks better than "
    "it is: gate the one that you choose on cases that the choice has not seen."
)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One checkpoint with the verdicts of its gates, by the gate."""

    checkpoint: Checkpoint
    verdicts: dict[str, Verdict]

    @property
    def lost(self) -> list[str]:
        """The gates that failed by a drop."""
        return [name for name, verdict in self.verdicts.items() if _is_loss(verdict)]

    def keeps(self, gates: Iterable[str]) -> bool:
        """Return True if *gates* passed."""
        found = map(self.verdicts.get, gates)
        return all(one is not None and one.outcome is Outcome.PASSED for one in found)

    def outcome(self) -> str:
        """Return ``passed``, or which gates ended how; in capitals where the build goes by it."""
        found = defaultdict[Outcome, list[str]](list)
        for name, verdict in self.verdicts.items():
            found[verdict.outcome].append(name)
        texts = [f"{kind}: {', '.join(found[kind])}" for kind in _WORST_FIRST if found[kind]]
        heads = [text.partition(":") for text in texts]
        if self.checkpoint.decides:
            texts = [f"{head.upper()}{colon}{names}" for head, colon, names in heads]
        return "; ".join(texts) or "passed"


def _is_loss(verdict: Verdict) -> bool:
    check = verdict.check
    return verdict.outcome is Outcome.FAILED and check is not None and check.before is not None


@dataclass(frozen=True, slots=True)
class Training:
    """The checkpoints that the variant *name* of *suite* is, in the order of their steps."""

    suite: str
    name: str
    rows: tuple[CheckpointRow, ...]

    @property
    def gates(self) -> list[str]:
        """The gates with a rate, in the order of the columns."""
        return [gate for gate in RATES if any(gate in row.verdicts for row in self.rows)]

    @property
    def before_loss(self) -> int | None:
        """The index of the last checkpoint before a loss that the last one has; else None.

        The gates of that loss pass there.
        """
        lost = self.rows[-1].lost
        kept = [index for index, row in enumerate(self.rows) if row.keeps(lost)]
        return kept[-1] if lost and kept else None


def trainings(report: Report) -> list[Training]:
    """Return the trainings of which *report* has checkpoints."""
    found: dict[tuple[str, str], dict[int, CheckpointRow]] = defaultdict(dict)
    for verdict in sorted(report.verdicts, key=lambda one: (one.line, one.gate)):
        if (one := verdict.checkpoint) is not None:
            rows = found[verdict.suite, one.of]
            rows.setdefault(one.step, CheckpointRow(one, {})).verdicts[verdict.gate] = verdict
    return [
        Training(suite, name, tuple(row for _, row in sorted(rows.items())))
        for (suite, name), rows in found.items()
    ]


def rate_check(row: CheckpointRow, gate: str) -> Check | None:
    """Return the check of *gate* with its rate: one that compares, else the one that decided."""
    verdict = row.verdicts.get(gate)
    if verdict is None:
        return None
    shares = [one for one in verdict.checks if one.unit == "share" and not one.measure]
    return next((one for one in shares if one.before is not None), next(iter(shares), None))


def checkpoint_table(training: Training, *, whole: bool = True) -> TextTable:
    """Return a row for each checkpoint: its rates with their changes, and its outcome.

    Unless *whole*, changes have no intervals.
    """
    rows = [
        [
            f"{row.checkpoint.step}{' (decides)' * row.checkpoint.decides}",
            *(_rate_cell(rate_check(row, gate), whole=whole) for gate in training.gates),
            row.outcome(),
        ]
        for row in training.rows
    ]
    headers = ["step", *(RATES[gate] for gate in training.gates), "outcome"]
    return TextTable(headers, rows)


def _rate_cell(check: Check | None, *, whole: bool) -> str:
    if check is None:
        return "–"
    rate = level(check.after, check.unit, decimals(check))
    if check.before is None:
        return rate
    change = check.after - check.before
    if not whole:
        return with_more(rate, points(change, decimals(check)))
    return f"{rate}, {short_change(change, check.low, check.high, decimals(check))}"


def loss_sentences(training: Training) -> Iterator[str]:
    """Yield where a loss begins, and which checkpoints pass all of their gates."""
    rows, kept = training.rows, training.before_loss
    if len(rows) == 1:
        return
    if kept is not None:
        label = rows[kept].checkpoint.label
        after = _loss_text(rows[kept + 1 :])
        yield f"{training.name}: the last checkpoint before the loss: {label} ({after})"
    elif rows[-1].lost:
        first, gates = rows[0].checkpoint.label, ", ".join(rows[-1].lost)
        yield f"{training.name}: {gates} passes at no checkpoint; save some before {first}"
    for row in rows:
        # That of a checkpoint that decides has a block of its own.
        reasons = {headline(v) for v in row.verdicts.values() if v.outcome is Outcome.INVALID}
        for reason in reasons if not row.checkpoint.decides else ():
            yield f"{training.name}: {row.checkpoint.label} is invalid: {reason}"
    # Of those that are not evaluated, a row or a verdict is missing.
    judged = {gate for row in rows for gate in row.verdicts}
    passing = [row.checkpoint.label for row in rows if row.keeps(judged)]
    named = first_names(passing) if passing else "none"
    yield f"{training.name}: checkpoints that pass all of their gates: {named}"


def _loss_text(rows: Sequence[CheckpointRow]) -> str:
    """Return from which of *rows* on the gates failed that the last one has lost."""
    gates = rows[-1].lost
    whole = [{*gates} <= {*row.lost} for row in rows]
    first = next(row for number, row in enumerate(rows) if all(whole[number:]))
    # Those that are not evaluated have no verdict.
    then = {str(one.outcome) for gate in gates if (one := rows[0].verdicts.get(gate))}
    what = f"is {then.pop()}" if len(then) == 1 else "partly failed"
    doubt = "" if first is rows[0] else f"{what} at {rows[0].checkpoint.label}, "
    return f"{', '.join(gates)} {doubt}failed from {first.checkpoint.label} on"


def planned_lines(checkpoints: Iterable[Checkpoint]) -> Iterator[str]:
    """Yield of each training how many checkpoints it has, and by which the build goes."""
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    for one in checkpoints:
        found[one.of][one.label] = one.decides
    for name, labels in found.items():
        deciding = ", ".join(label for label, decides in labels.items() if decides)
        count = quantity(len(labels), "checkpoint")
        text = f"{name}: {count}, each with all gates; the build goes by {deciding or 'none'}"
        yield from wrap_lines(escape_controls(text))


def training_lines(report: Report) -> Iterator[str]:
    """Yield the table of each training, and what to know when one chooses by it."""
    for training in trainings(report):
        yield ""
        yield from wrap_lines(escape_controls(f"{training.name} by checkpoint:"), 2)
        lines = table_lines(checkpoint_table(training), wraps=False)
        if max(map(cell_count, lines)) > line_width():
            lines = table_lines(checkpoint_table(training, whole=False))
        yield from lines
        yield from wrap_lines(CAUTION) if len(training.rows) > 1 else ()


def training_sentences(report: Report) -> Iterator[str]:
    """Yield the sentences on each training; foreign names in them are not escaped."""
    for training in trainings(report):
        yield from loss_sentences(training)


def closing_lines(report: Report) -> Iterator[str]:
    """Yield the same in lines of the closing section."""
    for text in training_sentences(report):
        yield from wrap_lines(escape_controls(text), 0)
