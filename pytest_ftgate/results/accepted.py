"""The accepted record: a JSON file beside each suite, with which later runs are compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.design import MAX_MISSING_SHARE
from pytest_ftgate.gates.identity import LEVEL_FACT, ROOM_FACT
from pytest_ftgate.gates.notes import Note, NoteKind
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.statements import ExamChange
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.results.exam import Exam, case_digest, compare_exams, merge_exams
from pytest_ftgate.results.history import RECORD_FORMAT, check_format
from pytest_ftgate.results.run import Report, from_json, json_adapter, node_id, node_name
from pytest_ftgate.scoring.scores import VariantScores, digest_replies
from pytest_ftgate.suite.model import Suite


class AcceptedCase(NamedTuple):
    """The accepted scores of one case, without its replies.

    Attributes:
        correct, valid: the mean scores over the repeats, 0 to 1, or None if there is none.
        repeats: the number of replies.
        case_digest: a digest of the case and of how it is scored.
        replies_digest: a digest of the requests and the replies.
        lenient_valid: the share of replies whose format is valid for a lenient reader; None if the
            case requires no format.
    """

    correct: float | None
    valid: float | None
    repeats: int
    case_digest: str
    replies_digest: str
    lenient_valid: float | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The cases of a variant that were accepted first, and when."""

    at: str
    cases: Mapping[str, AcceptedCase]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRecord:
    """The accepted results of one suite.

    Attributes:
        suite: the suite file, relative to the root directory.
        at: the end of the accepted run, in ISO 8601.
        format: the version of the file format.
        verdicts: the verdicts of the suite's gates, without examples of replies.
        variants: by variant and case id, the accepted cases.
        cost: the cost of the replies of the accepted run.
        serves: the variant that is meant to serve.
        anchors: by variant, the cases that were accepted first, if others were accepted since. Each
            accepted run may drop by less than the limit; the anchor limits the sum of all drops.
        limits: the limits of gates that declare none, by the name of the gate, a share.
        rooms: by tuned variant that thinks, the tokens that it and its base may think in.
        skill_levels: by tuned variant and family of skills, the level that its base chose; 0 for a
            family that is left out.
        exam: what decided the gates; None in a record of an older format.
        changes: by gate and variant, how the exam differed from that of the record before.
    """

    suite: str
    at: str
    format: int = RECORD_FORMAT
    verdicts: tuple[Verdict, ...] = ()
    variants: Mapping[str, Mapping[str, AcceptedCase]] = field(default_factory=dict)
    cost: CostReport | None = None
    serves: str = ""
    anchors: Mapping[str, Anchor] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    rooms: Mapping[str, int] = field(default_factory=dict)
    skill_levels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    exam: Exam | None = None
    changes: Mapping[str, ExamChange] = field(default_factory=dict)

    def right(self, gate: str, variant: str) -> dict[str, float | None]:
        """Return the accepted scores of *variant* by case, 0 to 1: those that *gate* reads."""
        rows = self.variants.get(f"{gate}[{variant}]") or self.variants.get(variant, {})
        of_format = gate == "format"
        return {key: row.valid if of_format else row.correct for key, row in rows.items()}

    @property
    def case_ids(self) -> frozenset[str]:
        """The ids of all accepted cases."""
        tables = [*self.variants.values(), *(self.exam.cases.values() if self.exam else ())]
        return frozenset(key for table in tables for key in table)

    def count_results(self, variant: str, gate: str) -> int:
        """Return how many accepted results *variant* has for a gate: none, the last, or both."""
        # The results of a marked function have a key of their own.
        names = (variant, f"{gate}[{variant}]")
        return sum(name in results for results in (self.variants, self.anchors) for name in names)


def accepted_cases(scores: VariantScores, folder: Path) -> dict[str, AcceptedCase]:
    """Return what the accepted record stores of each answered case in *scores*.

    Functions of the suite are searched in *folder* first.
    """
    return {
        case_id: AcceptedCase(
            result.correct,
            result.valid,
            len(result.scores),
            case_digest(result.case, folder),
            digest_replies(result),
            result.lenient_valid,
        )
        for case_id, result in scores.results.items()
        if result.scores
    }


#: How deep the mappings of a key are written with one member in a line.
_DEPTHS = {"variants": 2, "anchors": 3, "exam": 3}


def write_record(path: Path, record: AcceptedRecord) -> None:
    """Write *record* with one case in a line, so that a diff shows which cases changed."""
    document = json_adapter(AcceptedRecord).dump_python(record, mode="json")
    deep = {key: document.pop(key) for key in _DEPTHS}
    text = json.dumps(document, ensure_ascii=False, indent=1)[:-2]
    parts = [
        f' "{key}": {_lines(value, _DEPTHS[key], 2)}'
        for key, value in deep.items()
        if value or key == "variants"
    ]
    part = path.with_name(f"{path.name}.part")
    part.write_text(",\n".join([text, *parts]) + "\n}\n", "utf-8")
    part.replace(path)


def _lines(value: Any, depth: int, indent: int) -> str:
    """Return *value* as JSON, with one member of its mappings in a line down to *depth*."""
    if depth == 0 or not isinstance(value, Mapping):
        return json.dumps(value)
    members = (
        f"{' ' * indent}{json.dumps(key)}: {_lines(member, depth - 1, indent + 1)}"
        for key, member in value.items()
    )
    return "{\n" + ",\n".join(members) + f"\n{' ' * (indent - 1)}}}"


def read_record(path: Path, suite: str) -> AcceptedRecord | None:
    """Return the accepted record of *suite* at *path*, or None if there is no file.

    Raises:
        SuiteError: the file is no accepted record, or has an older or newer format.
    """
    if not path.is_file():
        return None
    text = path.read_bytes()
    check_format(text, path, suite)
    try:
        return from_json(AcceptedRecord, text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = f"no accepted record ({place}: {first['msg']}); restore it or delete it"
        raise SuiteError(suite, [Diagnostic(path.name, 0, message)]) from error


def record_of_suite(path: Path, suite: str) -> AcceptedRecord | None:
    """Return the accepted record of *suite* at *path*, or None if there is no file.

    Raises:
        SuiteError: as for `read_record`, or the record is that of another suite.
    """
    record = read_record(path, suite)
    if record is None:
        return None
    # A folder may be moved with its suites and records. A marked function is part of its file's.
    name = Path(suite.partition("::")[0]).name
    if Path(record.suite).name != name:
        message = (
            f"this is the record of {record.suite}; restore that of {name}, or write its new name "
            "if the suite was renamed"
        )
        raise SuiteError(suite, [Diagnostic(path.name, _key_line(path, "suite"), message)])
    remedy = "restore their lines, or accept a run again"
    texts = [f"{gap} accepted cases have no score here; {remedy}" for gap in _gaps(record)]
    if texts:
        line = _key_line(path, "variants")
        raise SuiteError(suite, [Diagnostic(path.name, line, text) for text in texts])
    return record


def _gaps(record: AcceptedRecord) -> Iterator[str]:
    """Yield the gates for which a record lacks scores, as after a bad merge, and how many.

    The verdict of such a gate counts more cases than the record has.
    """
    gates = record.exam.gates if record.exam else {}
    for verdict in record.verdicts:
        gate = gates.get(verdict.gate)
        # The results of variants without gates are not accepted.
        reads = gate is not None and gate.reads_record and verdict.variant in gate.variants
        kept = len(record.right(verdict.gate, verdict.variant))
        # Without a check it had nothing to compare with, or could not be measured.
        counted = verdict.check.rated if verdict.check else int("rate" in verdict.statement.values)
        if reads and kept < counted:
            yield f"{node_name(verdict)}: {counted - kept:,} of {counted:,}"


def accepted_limit_line(path: Path, gate: str) -> int:
    """Return the line of the default limit of *gate* in the record at *path*."""
    return _key_line(path, gate, start=_key_line(path, "limits"))


def _key_line(path: Path, key: str, start: int = 1) -> int:
    """Return the line of *key*, from *start* on, in the record at *path*; 1 if it is not found."""
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    named = (n for n, line in lines if n >= start and line.lstrip(" {").startswith(f'"{key}"'))
    return next(named, 1)


def accepted_path(root: Path, suite: str) -> Path:
    """Return the path of the accepted record of *suite*, a name relative to *root*."""
    return root / (suite.removesuffix(".ftgate.yaml") + ".accepted.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a run has accepted of one suite.

    Attributes:
        names: the variants, or the gates of marked functions.
        file: the record, relative to the root directory.
        not_passed: how many of its gates did not pass, by their outcome.
        changes: by gate and variant, how what decides differs from what was accepted before.
        is_read: False if no gate compares with the record.
        new_anchors: the variants of which no earlier accepted case is as it was.
    """

    names: tuple[str, ...]
    file: str
    not_passed: Mapping[str, int]
    changes: Mapping[str, ExamChange]
    is_read: bool
    new_anchors: tuple[str, ...] = ()


#: What keeps a run from being accepted, and another run may bring.
WITHOUT_REPLIES = "without enough replies"


def _lacks_replies(told: Note) -> bool:
    """Return True if *told* says that more cases have no reply than a gate allows."""
    n, of = told.values.get("n"), told.values.get("of")
    if told.kind != NoteKind.NO_REPLY or not (isinstance(n, int) and isinstance(of, int)):
        return False
    return n > MAX_MISSING_SHARE * of


def failed_gates(report: Report) -> dict[str, tuple[str, ...]]:
    """Return what keeps *report* from being accepted: the names of gates by what became of them.

    An inconclusive gate is no reason: the first run of a suite is, and one with a smaller exam. Too
    few replies are one: later runs would compare nothing with the cases that have none.
    """
    found: dict[str, list[str]] = {}
    for verdict in report.gated_verdicts:
        if verdict.outcome in (Outcome.FAILED, Outcome.INVALID):
            found.setdefault(str(verdict.outcome), []).append(node_name(verdict))
        elif any(_lacks_replies(one) for one in verdict.notes):
            found.setdefault(WITHOUT_REPLIES, []).append(node_name(verdict))
    for missing in report.not_evaluated:
        found.setdefault("not evaluated", []).append(missing.node.rpartition("::")[2])
    for test in report.failed_tests:
        found.setdefault("passed in a failed test", []).append(test.node.rpartition("::")[2])
    return {kind: tuple(names) for kind, names in found.items()}


def accept_run(  # noqa: PLR0913 - what a record consists of, each by name
    root: Path,
    suite: str,
    cases: Mapping[str, Mapping[str, Sequence[Any]]],
    report: Report,
    serves: str,
    *,
    exam: Exam,
    limits: Mapping[str, float],
    moves_anchor: bool = False,
    left_out: Callable[[str], bool] = bool,
) -> Acceptance:
    """Write the results of *suite* in *report* to its accepted record.

    *cases* are by variant and case id, and hold the values of an ``AcceptedCase``; a variant whose
    gates compare with its base alone has none. *serves* is the variant that is meant to serve,
    *exam* what decides the gates that ran, and *limits* the default limits of gates that had
    nothing to compare with, by their name. The first accepted cases of a variant stay its anchor,
    unless *moves_anchor*, or none of them is as it was: then these cases replace it. *left_out*
    returns whether the command line left out a gate, by its node id: the accepted verdict of such a
    gate stays, and by default that of every gate that did not run.
    """
    path = accepted_path(root, suite)
    before = read_record(path, suite) or AcceptedRecord(suite=suite, at="")
    # The file is committed, so it contains no text of a model.
    verdicts = [replace(v, flips=()) for v in report.verdicts if v.suite == suite]
    kept = _kept_verdicts(before, verdicts, left_out)
    exam, changes = _with_accepted_exam(exam, before, kept)
    accepted = _accepted_rows(cases)
    record = AcceptedRecord(
        suite=suite, at=report.at, verdicts=(*verdicts, *kept), cost=report.cost, serves=serves,
        limits={**_default_limits(before, verdicts, exam), **limits},
        rooms=_rooms(before, verdicts),
        skill_levels=_skill_levels(before, verdicts),
        exam=exam,
        changes=changes,
        variants={**before.variants, **accepted},
        anchors=_anchors(before, accepted, moves=moves_anchor),
    )  # fmt: skip
    write_record(path, record)
    return Acceptance(
        names=tuple(cases),
        file=path.relative_to(root).as_posix(),
        not_passed=Counter(str(v.outcome) for v in verdicts if v.gated and v.outcome != "passed"),
        changes=changes,
        is_read=any(gate.reads_record for gate in exam.gates.values()),
        new_anchors=() if moves_anchor else _without_anchor(record, before, accepted),
    )


def _kept_verdicts(
    before: AcceptedRecord, verdicts: Iterable[Verdict], left_out: Callable[[str], bool]
) -> list[Verdict]:
    """Return the accepted verdicts of gates that did not run, since they were *left_out*."""
    ran = {(v.gate, v.variant) for v in verdicts}
    return [v for v in before.verdicts if (v.gate, v.variant) not in ran and left_out(node_id(v))]


def _accepted_rows(
    cases: Mapping[str, Mapping[str, Sequence[Any]]],
) -> dict[str, dict[str, AcceptedCase]]:
    return {
        name: {case_id: AcceptedCase(*values) for case_id, values in rows.items()}
        for name, rows in cases.items()
        if rows
    }


def _with_accepted_exam(
    exam: Exam, before: AcceptedRecord, kept: Iterable[Verdict]
) -> tuple[Exam, dict[str, ExamChange]]:
    """Return *exam* with the accepted gates that this run left out, and how it differs.

    Each gate that differs from the accepted one is compared about its first variant.
    """
    accepted, changes = before.exam, dict[str, ExamChange]()
    if accepted is None:
        return exam, changes
    exam = merge_exams([accepted.of_gates(verdict.gate for verdict in kept), exam])
    for name, gate in exam.gates.items():
        for variant in gate.variants[:1] if name in accepted.gates else ():
            change = compare_exams(accepted, exam, name, variant, before.right(name, variant))
            if change.has_shrunk or change.came:
                changes[f"{name}[{variant}]"] = change
    return exam, changes


def _default_limits(
    before: AcceptedRecord, verdicts: Sequence[Verdict], exam: Exam
) -> dict[str, float]:
    """Return the default limits by gate; those of gates without a verdict stay.

    Such a limit goes where cases have come, which show a smaller one.
    """
    ran, had = {verdict.gate for verdict in verdicts}, before.case_ids
    checks = ((verdict.gate, check) for verdict in verdicts for check in verdict.checks)
    found = {gate: check.limit for gate, check in checks if check.has_default_limit}
    has_come = any(not table.keys() <= had for table in exam.cases.values())
    kept = () if has_come else before.limits.items()
    return {gate: limit for gate, limit in kept if gate not in ran} | found


def _rooms(before: AcceptedRecord, verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return the room to think of each variant; that of variants without a verdict stays."""
    ran = {verdict.variant for verdict in verdicts}
    found = {v.variant: int(v.facts[ROOM_FACT]) for v in verdicts if ROOM_FACT in v.facts}
    return {variant: room for variant, room in before.rooms.items() if variant not in ran} | found


def _skill_levels(
    before: AcceptedRecord, verdicts: Sequence[Verdict]
) -> dict[str, Mapping[str, int]]:
    """Return the levels of skills by variant; those of variants without new ones stay."""
    levels = dict(before.skill_levels)
    for verdict in verdicts:
        found = {
            fact.removeprefix(LEVEL_FACT): int(value)
            for fact, value in verdict.facts.items()
            if fact.startswith(LEVEL_FACT)
        }
        levels |= {verdict.variant: found} if found else {}
    return levels


def _anchors(
    before: AcceptedRecord, accepted: Mapping[str, Mapping[str, AcceptedCase]], *, moves: bool
) -> dict[str, Anchor]:
    """Return the anchors after the rows in *accepted* replace those in *before*.

    A variant has none if *moves*, or if none of its earlier cases is as it was: its new rows are
    what later runs are compared with, and become the anchor when the next run is accepted.
    """
    anchors = dict(before.anchors)
    for name, rows in accepted.items():
        first = anchors.pop(name, None)
        last = Anchor(before.at, before.variants.get(name, {}))
        kept = (one for one in (first, last) if one and not moves and _has_shared(one.cases, rows))
        if (anchor := next(kept, None)) is not None:
            anchors[name] = anchor
    return anchors


def _without_anchor(
    record: AcceptedRecord, before: AcceptedRecord, accepted: Iterable[str]
) -> tuple[str, ...]:
    """Return the variants in *accepted* that had results *before*, and have no anchor."""
    return tuple(one for one in accepted if one in before.variants and one not in record.anchors)


def _has_shared(before: Mapping[str, AcceptedCase], now: Mapping[str, AcceptedCase]) -> bool:
    """Return True if a case of *before* is one of *now*, and is scored as it was."""
    return any(now[key].case_digest == row.case_digest for key, row in before.items() if key in now)


def accepted_samples(
    record: AcceptedRecord | None, suite: Suite, variant: str, kind: str
) -> tuple[Samples | None, Samples | None]:
    """Return the samples of *variant* that were accepted last, and first if others followed.

    None for those that there are not. Cases that changed since, or that the suite no longer has,
    are left out; what decided then is compared with today by `compare_exams`. *kind* is that of the
    gate, ``accuracy`` or ``format``.
    """
    last = record.variants.get(variant) if record else None
    anchor = record.anchors.get(variant) if record else None
    first = anchor.cases if anchor else None
    return _samples(last, suite, kind), _samples(first, suite, kind)


def _samples(rows: Mapping[str, AcceptedCase] | None, suite: Suite, kind: str) -> Samples | None:
    if rows is None:
        return None
    samples: dict[str, CaseSample] = {}
    for case in suite.cases:
        row = rows.get(case.id)
        if row and row.case_digest == case_digest(case, suite.path.parent):
            value, digest = row.correct if kind == "accuracy" else row.valid, row.replies_digest
            samples[case.id] = CaseSample(value, row.repeats, digest, case.group, case.weight)
    return samples_from_cases(samples)
