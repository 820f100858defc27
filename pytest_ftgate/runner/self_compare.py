"""Compare one agent with itself: how often would the gate be red although nothing changed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.selftest import SelfComparison, compare_halves
from pytest_ftgate.readers.answer_rows import AnswerFile
from pytest_ftgate.readers.answers import Answers
from pytest_ftgate.readers.pairing import PairedRows, pair_files
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.self_compare import self_compare_lines
from pytest_ftgate.runner.compare_files import read_files, unit_of
from pytest_ftgate.runner.file_suite import ComparedSuite, build_suite, file_limit
from pytest_ftgate.stats.tasks import FEWEST_TASKS
from pytest_ftgate.suite.gate_kinds import RateGate, is_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCompareResult:
    """One agent that is compared with itself.

    ``str()`` of it is what the command ``pytest-ftgate compare --self`` prints.

    Attributes:
        file: what was read.
        left_out: the number of tasks with fewer than two runs.
        comparison: how often the gate, and plain thresholds, are red.
    """

    file: AnswerFile
    left_out: int
    comparison: SelfComparison

    def __str__(self) -> str:
        """Return what the command prints."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the lines for a terminal."""
        return [*self_compare_lines(self.file, self.comparison, left_out=self.left_out)]


def self_compare(  # noqa: PLR0913 - the columns, each by its name
    results: Answers,
    *,
    id: str | None = None,  # noqa: A002 - the name of the column and of the option
    input: str | None = None,  # noqa: A002
    reply: str | None = None,
    expected: str | None = None,
    score: str | None = None,
    scorer: str | Mapping[str, Any] | None = None,
    cases: Answers | None = None,
    max_drop: float | None = None,
    claim: str | None = None,
    by: str | Sequence[str] = (),
    by_line: bool = False,
) -> SelfCompareResult:
    """Return how often `compare` would be red on one agent that is compared with itself.

    The runs of each task are split in two halves, of which one is the base and the other the
    candidate. The claim is the one that `compare` would choose for files with all of the runs, the
    limit the one that it would choose for two files with half of them.

    *results* has several runs of each task: a file, a folder, or rows. The other arguments are
    those of `compare`.

    Raises:
        FtgateError: the results cannot be read, or fewer than three tasks have two runs.
    """
    named = {"id": id, "input": input, "reply": reply, "expected": expected, "score": score}
    columns: dict[str, Any] = {role: path for role, path in named.items() if path}
    columns["by"] = (by,) if isinstance(by, str) else tuple(by)
    sides = [("results", results)]
    file = read_files(sides, columns, scorer=scorer, cases=cases, by_line=by_line)[0]
    paired = pair_files((file, file), by_id=id is not None, by_line=by_line)
    limit = file_limit(max_drop, claim)
    whole = build_suite((file, file), paired, scorer, limit)
    scores = whole.scores(whole.suite.baseline, whole.suite)
    several = {name: one for name, one in scores.results.items() if len(one.scores) > 1}
    _require_runs(file, len(several))
    # The claim of all runs; half of them may be too few for that choice.
    claimed = _gate(whole).claim
    limit |= {"claim": claimed} if claimed else {}
    compared = build_suite((file, file), _halved(paired, several), scorer, limit)
    comparison = compare_halves(compared.suite, _gate(compared), [*several.values()])
    left_out = len(scores.results) - len(several)
    file = replace(file, unit=unit_of(file, compared.suite))
    return SelfCompareResult(file=file, left_out=left_out, comparison=comparison)


def _gate(compared: ComparedSuite) -> RateGate:
    return next(filter(is_rate, compared.suite.gates.values()))


def _require_runs(file: AnswerFile, repeated: int) -> None:
    """Raise an error unless enough tasks are *repeated*."""
    if repeated < FEWEST_TASKS:
        run = "reply" if file.unit == "case" else "run"
        have = f"{quantity(repeated, file.unit)} {'has' if repeated == 1 else 'have'} that"
        raise ConfigurationError(
            f"{file.name}: --self needs {FEWEST_TASKS} {file.unit}s with 2 {quantity(2, run)[2:]} "
            f"or more, and {have}; run each {file.unit} again, into the same results"
        )


def _halved(paired: PairedRows, names: Iterable[str]) -> PairedRows:
    """Return half of the rows of each of the cases *names* on either side: the size of a split."""
    kept = {name: paired.rows[0][name] for name in names}
    half = {name: len(rows) // 2 for name, rows in kept.items()}
    first = {name: rows[: half[name]] for name, rows in kept.items()}
    second = {name: rows[half[name] : 2 * half[name]] for name, rows in kept.items()}
    return replace(paired, rows=(first, second))
