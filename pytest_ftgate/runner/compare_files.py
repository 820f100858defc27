"""Compare files of answers by the accuracy gate, without a suite and without a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

from pytest_ftgate.errors import ConfigurationError, RepliesMissing
from pytest_ftgate.gates.design import Look, shared_levels
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.needs import Given, GivenScores
from pytest_ftgate.gates.notes import Note, NoteKind
from pytest_ftgate.gates.statements import StepKind, Value
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.readers.answer_rows import AnswerFile, Columns
from pytest_ftgate.readers.answers import Answers, read_answers, with_short_names
from pytest_ftgate.readers.pairing import PairedRows, pair_files, with_cases
from pytest_ftgate.readers.skill_creator import arms_of
from pytest_ftgate.reporting.compare import cases_text, comparison_lines
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.results.builder import RunPart, build_report, run_facts
from pytest_ftgate.results.collect import collect_suite_run
from pytest_ftgate.results.run import Report, RequestCounts, SuiteRun
from pytest_ftgate.runner.file_suite import ComparedSuite, build_suite, file_limit
from pytest_ftgate.runner.record import RunResult
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Inputs, Suite

#: With a larger share of base cases without a reply, a comparison is an error, as in a run.
_MAX_MISSING_SHARE = 0.5
_WORST_FIRST = (Outcome.INVALID, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult(RunResult):
    """The comparison of files of answers with a base.

    ``str()`` of it is what the command ``pytest-ftgate compare`` prints.

    Attributes:
        files: what was read, the base first.
        paired_by: ``id``, ``input``, ``line``, or the name of a column.
        repeats: the least and the most replies of a file to a case.
        verdicts: one for each candidate, in their order.
        notes: sentences on what does not pair, and on what was not read.
        report: the run record, which the reports are made of.
        suite: the suite that gives the same verdicts.
    """

    files: tuple[AnswerFile, ...]
    paired_by: str
    repeats: tuple[int, int]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    suite: ComparedSuite

    @property
    def outcome(self) -> Outcome:
        """The worst outcome: invalid, failed, inconclusive or passed."""
        outcomes = {verdict.outcome for verdict in self.verdicts}
        return next(outcome for outcome in _WORST_FIRST if outcome in outcomes)

    @property
    def passed(self) -> bool:
        """True if no candidate is worse than the base by more than the limit."""
        return self.outcome is Outcome.PASSED

    def lines(self, verbosity: int = 0) -> list[str]:
        """Return the lines for a terminal; *verbosity* 1 and 2 show more cases."""
        suite = self.suite.suite
        return [
            *comparison_lines(
                self.files,
                self.verdicts,
                paired_by=self.paired_by,
                score_kind=suite.reply.score.kind,
                cases=_asked(suite, unit_of(self.files[0], suite), self.repeats),
                notes=self.notes,
                is_capped=self.suite.is_capped,
                verbosity=verbosity,
            )
        ]

    def write(self, path: str | Path) -> list[Path]:
        """Write a suite that gives the same verdicts with ``pytest --ftgate``; return its files.

        Raises:
            ConfigurationError: *path* does not end in ``.ftgate.yaml``, a file exists already, or
                the comparison is invalid.
        """
        if self.outcome is Outcome.INVALID:
            raise ConfigurationError("--write: an invalid comparison makes no gate")
        return self.suite.write(Path(path), self.suite.suite.name)


def compare(  # noqa: PLR0913 - the columns, each by its name
    base: Answers,
    candidate: Answers | Sequence[Answers] = (),
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
    paired_only: bool = False,
    by_line: bool = False,
    labels: str | Path | None = None,
) -> CompareResult:
    """Return whether *candidate* is worse than *base*.

    Both are files that any tool wrote, or rows as mappings. Their columns are guessed unless they
    are named. Nothing is sent to a model.

    Args:
        base: the answers that others are compared with.
        candidate: the answers to judge; several files give a verdict each. Of a file with both
            arms of a benchmark, such as ``benchmark.json`` of skill-creator, there need be none.
        id: the column that pairs the rows; by default ids, a column of unique values, or inputs.
        input: the column of the question.
        reply: the column of the reply.
        expected: the column of the expected answer.
        score: the column of the file's own score, 0 to 1, or true and false.
        scorer: how replies are scored, as in a suite: ``exact``, ``numeric``, ``contains``, or
            ``{"numeric": {"tolerance": 0.01}}``. By default the file's own scores.
        cases: a file with the questions and expected answers, if those of the answers lack them;
            *input*, *expected* and *by* are its columns then.
        max_drop: the largest allowed drop, a share; by default what the cases can show.
        claim: ``these_tasks`` for a verdict about the cases of the files alone, whose several
            replies are the sample; ``tasks_like_these`` for others like them too. By default the
            first, if there are fewer than 30 cases with three replies or more each.
        by: columns whose values are compared one by one as well.
        paired_only: leave out cases of the base that a candidate lacks.
        by_line: pair rows by their line, where nothing else does and both files are in one order.
        labels: a file of labels that ``pytest-ftgate label`` writes. Rows without an expected
            answer and a score are inputs then: of those, the replies that differ are labelled.

    Raises:
        FtgateError: a file cannot be read, or nothing pairs; the message says what to write.
    """
    started = monotonic()
    paths = (by,) if isinstance(by, str) else tuple(by)
    named = {"id": id, "input": input, "reply": reply, "expected": expected, "score": score}
    read = read_compared(
        base,
        candidate,
        named={role: path for role, path in named.items() if path} | {"by": paths},
        scorer=scorer,
        cases=cases,
        limit=file_limit(max_drop, claim),
        paired_only=paired_only,
        by_line=by_line,
        labels=labels,
    )
    return _evaluate(read, started)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFiles:
    """Files of answers, how they pair, and the suite that compares them."""

    files: tuple[AnswerFile, ...]
    paired: PairedRows
    compared: ComparedSuite
    scorer: str | Mapping[str, Any] | None


def read_compared(  # noqa: PLR0913 - the options of compare
    base: Answers,
    candidate: Answers | Sequence[Answers],
    *,
    named: Mapping[str, Any],
    scorer: str | Mapping[str, Any] | None = None,
    cases: Answers | None = None,
    limit: Mapping[str, Any] = MappingProxyType({}),
    paired_only: bool = False,
    by_line: bool = False,
    labels: str | Path | None = None,
) -> ComparedFiles:
    """Return *base* and *candidate* as the suite that compares them; see `compare`.

    *named* are the columns by role, and *limit* the fields of the gate for a declared limit.

    Raises:
        FtgateError: a file cannot be read, or nothing pairs; the message says what to write.
    """
    base, candidates = _sides(base, candidate)
    _require_others(base, candidates)
    sides = [("base", base), *((f"candidate-{n}", c) for n, c in enumerate(candidates, 1))]
    files = read_files(sides, named, scorer=scorer, cases=cases, by_line=by_line)
    paired = pair_files(files, by_id="id" in named, by_line=by_line, paired_only=paired_only)
    path = None if labels is None else Path(labels)
    compared = build_suite(files, paired, scorer, limit, path)
    return ComparedFiles(files=files, paired=paired, compared=compared, scorer=scorer)


def read_files(
    sides: Sequence[tuple[str, Answers]],
    named: Mapping[str, Any],
    *,
    scorer: str | Mapping[str, Any] | None = None,
    cases: Answers | None = None,
    by_line: bool = False,
) -> tuple[AnswerFile, ...]:
    """Return the files of *sides*, each with what its rows are called if they have no path.

    *named* are the columns by role. Questions and answers may be in the file *cases*.

    Raises:
        FtgateError: a file cannot be read; the message says what to write.
    """
    chosen = dict(named)
    asked: dict[str, Any] = {
        role: chosen.pop(role) for role in ("input", "expected", "by") if cases and role in chosen
    }
    columns = Columns(scores=scorer is None, **chosen)
    read = [read_answers(answers, columns, name) for name, answers in sides]
    _require_other_replies(read)
    files = with_short_names(read)
    if cases is None:
        return files
    known = read_answers(cases, Columns(**asked), "cases", needs_reply=False)
    return with_cases(files, known, by_line=by_line)


def unit_of(file: AnswerFile, suite: Suite) -> str:
    """Return what the cases of *file* are called: tasks, if the gate of *suite* is about these."""
    return "task" if next(filter(is_rate, suite.gates.values())).claims_these else file.unit


def _asked(suite: Suite, unit: str, repeats: tuple[int, int]) -> str:
    """Return how many cases, and inputs, the files have; *repeats* as in `CompareResult`."""
    cases = [cases_text(unit, len(suite.cases), repeats)] if suite.cases else []
    inputs = [quantity(len(suite.inputs.cases), "input")] if suite.inputs else []
    return ", ".join([*cases, *inputs])


def _sides(
    base: Answers, candidate: Answers | Sequence[Answers]
) -> tuple[Answers, Sequence[Answers]]:
    """Return the base and its candidates; rows are one candidate.

    Raises:
        ConfigurationError: there is no candidate, nor are there two arms in the base.
    """
    if not candidate and isinstance(candidate, Sequence):
        arms = None if isinstance(base, Sequence) and not isinstance(base, str) else arms_of(base)
        if arms is None:
            raise ConfigurationError(
                "name a second file: compare BASE CANDIDATE; a file that holds both arms of a "
                "benchmark, such as benchmark.json of skill-creator, may stand alone"
            )
        return arms[0], arms[1:]
    is_several = (
        isinstance(candidate, Sequence)
        and not isinstance(candidate, str)
        and not any(isinstance(member, Mapping) for member in candidate)
    )
    return base, candidate if is_several else [candidate]  # type: ignore[list-item, return-value]


def _require_others(base: Answers, candidates: Sequence[Answers]) -> None:
    """Raise an error if a candidate is the file of the base: nothing could fail the comparison."""
    paths = [
        Path(os.path.realpath(one)) for one in (base, *candidates) if isinstance(one, str | Path)
    ]
    if isinstance(base, str | Path) and paths[0] in paths[1:]:
        raise ConfigurationError(f"{base} is base and candidate; name another file as one of them")


def _require_other_replies(files: Sequence[AnswerFile]) -> None:
    """Raise an error if a candidate is the base under another name, as ``FILE::COLUMN``."""
    base = files[0]
    for file in files[1:]:
        is_same_file = file.path == base.path and file.path.exists()
        if is_same_file and (file.columns, file.rows) == (base.columns, base.rows):
            raise ConfigurationError(f"{base.name} and {file.name} are the same replies")


def _evaluate(read: ComparedFiles, started: float) -> CompareResult:
    files, paired, compared, suite = read.files, read.paired, read.compared, read.compared.suite
    scores, asked = map(compared.all_scores, (suite, suite.inputs_suite))
    _require_replies(files, scores.values())
    gate = next(filter(is_rate, suite.gates.values()))
    coarse = tuple(compared.coarse_limit(gate))
    look = Look(repeats=(repeats := suite.repeats or 1), replies_vary=repeats > 1)
    source, levels = GivenScores(scores, of_inputs=asked), shared_levels(suite)
    given = (
        Given(suite=suite, variant=variant, look=look, source=source, levels=levels)
        for variant in suite.variants.values()
        if variant.gated
    )
    pairs = [(files[0], other) for other in files[1:]]
    verdicts = tuple(
        _told(kind_of(gate).evaluate(gate, each), coarse, pair, suite.inputs, read.scorer)
        for each, pair in zip(given, pairs, strict=True)
    )
    notes = tuple(_notes(read))
    run = collect_suite_run(suite, [("task", side) for side in scores.values()])
    return CompareResult(
        files=files,
        paired_by=paired.key,
        repeats=paired.repeats,
        verdicts=verdicts,
        notes=notes,
        report=_report(verdicts, run, notes, started),
        suite=compared,
    )


def _told(
    verdict: Verdict,
    coarse: Sequence[Note],
    files: tuple[AnswerFile, AnswerFile],
    inputs: Inputs | None,
    scorer: str | Mapping[str, Any] | None,
) -> Verdict:
    """Return *verdict* with what the cases can show, in place of the steps that take a suite.

    *coarse* says so if that is little. The replies of two *files* to *inputs* may be labelled.
    """
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        coarse = ()
    steps = [
        step.add(as_option=True)
        for step in verdict.next
        if step.kind is StepKind.ADD_CASES and not coarse
    ]
    if inputs is not None:
        names = tuple(file.name for file in files)
        named: dict[str, Value] = {"files": names, "labels": str(inputs.labels_path)}
        # The labels belong to the normalisation of this score.
        named |= (
            {"scorer": scorer if isinstance(scorer, str) else json.dumps(scorer)} if scorer else {}
        )
        steps += [step.add(**named) for step in verdict.next if step.kind is StepKind.LABEL]
    weaker = {NoteKind.UNCHANGED_PASSES} if coarse else set[str]()
    notes = (_of_one_check(one) for one in verdict.notes if one.kind not in weaker)
    noun = verdict.check.noun if verdict.check else "case"
    coarse = [replace(one, values={**one.values, "noun": noun}) for one in coarse]
    return replace(verdict, next=tuple(steps), notes=(*notes, *coarse))


def _of_one_check(one: Note) -> Note:
    """Return a note without the checks against an accepted record, which a suite would add."""
    kept = {name: value for name, value in one.values.items() if name not in ("checks", "build")}
    return replace(one, values=kept) if one.kind == NoteKind.UNCHANGED_PASSES else one


def _notes(read: ComparedFiles) -> Iterator[str]:
    """Yield what does not pair, which cases are equal, and what each file says of itself.

    What all files say, such as that a column is not read, is said once.
    """
    yield from read.paired.notes
    yield from filter(None, [equal_inputs(read.compared.suite.cases)])
    noted: dict[str, list[str]] = {}
    for file in read.files:
        unread = ", ".join(name for name in file.unread if name != read.paired.key)
        noted[file.name] = [*file.notes, *([f"not read: {unread}"] if unread else [])]
    for note in dict.fromkeys(note for notes in noted.values() for note in notes):
        named = [name for name, notes in noted.items() if note in notes]
        yield note if len(named) == len(read.files) else f"{', '.join(named)}: {note}"


def _require_replies(files: Sequence[AnswerFile], sides: Iterable[VariantScores]) -> None:
    for file, scores in zip(files, sides, strict=True):
        missing, total = len(scores.unanswered), len(scores.results)
        if missing > _MAX_MISSING_SHARE * total:
            raise RepliesMissing(
                f"{file.name} has no {'run of' if file.unit == 'task' else 'reply to'} {missing:,} "
                f"of {total:,} {file.unit}s; compare the others "
                "alone with --paired-only"
            )


def _report(
    verdicts: tuple[Verdict, ...], run: SuiteRun, notes: tuple[str, ...], started: float
) -> Report:
    settings = Settings.of_evaluation(Path.cwd(), replies="recorded")
    replies = sum(variant.replies for variant in run.variants)
    part = RunPart(requests=RequestCounts(replies=replies), messages=notes, suites=(run,))
    facts = run_facts(settings, [part], monotonic() - started)
    report = build_report(settings, [part], verdicts, facts=facts)
    # No suite holds these gates, so no command runs one of them again.
    shown = zip(report.verdicts, verdicts, strict=True)
    return replace(report, verdicts=tuple(replace(one, next=own.next) for one, own in shown))
