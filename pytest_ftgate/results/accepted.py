"""The accepted record: a JSON file beside each suite, with which later runs are compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import getsourcefile, unwrap
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.identity import LEVEL_FACT, ROOM_FACT
from pytest_ftgate.gates.rates import AcceptedSamples
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import from_json, json_adapter, node_id
from pytest_ftgate.scoring.scores import VariantScores, digest_replies
from pytest_ftgate.suite.model import Case, Suite, digest
from pytest_ftgate.suite.references import source_files
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.weights import file_sha256

#: The version of the file format. Raise it if a key changes its name or its meaning.
RECORD_FORMAT = 4


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

    def count_results(self, variant: str, gate: str) -> int:
        """Return how many accepted results *variant* has for a gate: none, the last, or both."""
        # The results of a marked function have a key of their own.
        names = (variant, f"{gate}[{variant}]")
        return sum(name in results for results in (self.variants, self.anchors) for name in names)


def _case_digest(case: Case, folder: Path) -> str:
    """Return a digest of a case and of how it is scored, including the code of its functions."""
    rules = (case.score, *case.format)
    loaded = [str(rule.value) for rule in rules if rule.kind in ("python", "pydantic")]
    code = [file_sha256(file) for name in loaded for file in source_files(name, folder)]
    code += [file_sha256(file) for rule in rules for file in _plugin_function_file(rule)]
    return digest([case.digest, code])[:16] if code else case.digest


def _plugin_function_file(rule: Rule) -> tuple[Path, ...]:
    """Return the source file of a plugin's function, without the modules that it imports."""
    if rule.function is None:
        return ()
    function = rule.function.func if isinstance(rule.function, partial) else rule.function
    try:
        file = getsourcefile(unwrap(function))
    except TypeError:
        return ()
    return (Path(file),) if file else ()


def accepted_cases(scores: VariantScores, folder: Path) -> dict[str, AcceptedCase]:
    """Return what the accepted record stores of each answered case in *scores*.

    Functions of the suite are searched in *folder* first.
    """
    return {
        case_id: AcceptedCase(
            result.correct,
            result.valid,
            len(result.scores),
            _case_digest(result.case, folder),
            digest_replies(result),
            result.lenient_valid,
        )
        for case_id, result in scores.results.items()
        if result.scores
    }


def write_record(path: Path, record: AcceptedRecord) -> None:
    """Write *record* with one case in a line, so that a diff shows which cases changed."""
    document = json_adapter(AcceptedRecord).dump_python(record, mode="json")
    variants, anchors = document.pop("variants"), document.pop("anchors")
    text = json.dumps(document, ensure_ascii=False, indent=1)[:-2]
    blocks = [f"  {json.dumps(name)}: {_case_lines(cases)}" for name, cases in variants.items()]
    first = [
        f'  {json.dumps(name)}: {{"at": {json.dumps(anchor["at"])}, '
        f'"cases": {_case_lines(anchor["cases"])}}}'
        for name, anchor in anchors.items()
    ]
    keys = {"variants": blocks} | ({"anchors": first} if first else {})
    parts = [f' "{key}": {{\n' + ",\n".join(lines) + "\n }" for key, lines in keys.items()]
    part = path.with_name(f"{path.name}.part")
    part.write_text(",\n".join([text, *parts]) + "\n}\n", "utf-8")
    part.replace(path)


def _case_lines(cases: Mapping[str, Sequence[Any]]) -> str:
    lines = (f"   {json.dumps(key)}: {json.dumps(list(row))}" for key, row in cases.items())
    return "{\n" + ",\n".join(lines) + "\n  }"


def read_record(path: Path, suite: str) -> AcceptedRecord | None:
    """Return the accepted record of *suite* at *path*, or None if there is no file.

    Raises:
        SuiteError: the file is no accepted record, or has an older or newer format.
    """
    if not path.is_file():
        return None
    text = path.read_bytes()
    message = _format_message(text)
    if message:
        raise SuiteError(suite, [Diagnostic(path.name, 0, message)])
    try:
        return from_json(AcceptedRecord, text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = f"no accepted record ({place}: {first['msg']}); restore it or delete it"
        raise SuiteError(suite, [Diagnostic(path.name, 0, message)]) from error


def _format_message(text: bytes) -> str:
    """Return why this version does not read the format of a record, or ""."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int) or number == RECORD_FORMAT:
        return ""
    if number > RECORD_FORMAT:
        return f"record format {number} is newer than this version reads; upgrade"
    remedy = "delete it, and accept a run again with pytest --ftgate --ftgate-accept"
    return f"record format {number} is older than this version reads; {remedy}"


def accepted_path(root: Path, suite: str) -> Path:
    """Return the path of the accepted record of *suite*, a name relative to *root*."""
    return root / (suite.removesuffix(".ftgate.yaml") + ".accepted.json")


def accept_run(  # noqa: PLR0913 - what a record consists of, each by name
    root: Path,
    suite: str,
    cases: Mapping[str, Mapping[str, Sequence[Any]]],
    report: Report,
    serves: str,
    *,
    limits: Mapping[str, float],
    moves_anchor: bool = False,
    left_out: Callable[[str], bool] = bool,
) -> str:
    """Write the results of *suite* in *report* to its accepted record; return a message about it.

    *cases* are by variant and case id, and hold the values of an ``AcceptedCase``; a variant whose
    gates compare with its base alone has none. *serves* is the variant that is meant to serve,
    *limits* the default limits of gates that had nothing to compare with, by their name. The first
    accepted cases of a variant stay its anchor, unless *moves_anchor*: then these cases replace it.
    *left_out* returns whether the command line left out a gate, by its node id: the accepted
    verdict of such a gate stays, and by default that of every gate that did not run.
    """
    path = accepted_path(root, suite)
    before = read_record(path, suite)
    accepted = {
        name: {case_id: AcceptedCase(*values) for case_id, values in rows.items()}
        for name, rows in cases.items()
        if rows
    }
    variants = {**(before.variants if before else {}), **accepted}
    anchors = _anchors(before, accepted, moves_anchor=moves_anchor) if before else {}
    # The file is committed, so it contains no text of a model.
    found = (verdict for verdict in report.verdicts if verdict.suite == suite)
    verdicts = tuple(replace(verdict, flips=()) for verdict in found)
    record = AcceptedRecord(
        suite=suite,
        at=report.at,
        verdicts=(*verdicts, *_kept_verdicts(before, verdicts, left_out)),
        variants=variants,
        cost=report.cost,
        serves=serves,
        anchors=anchors,
        limits={**_default_limits(before, verdicts), **limits},
        rooms=_rooms(before, verdicts),
        skill_levels=_skill_levels(before, verdicts),
    )
    write_record(path, record)
    failed = sum(verdict.gated and verdict.outcome != "passed" for verdict in verdicts)
    warning = f" ({failed} of its gates did not pass)" if failed else ""
    names, file = ", ".join(cases), path.relative_to(root).as_posix()
    return f"accepted {names} in {file}; commit it with the change{warning}"


def _kept_verdicts(
    before: AcceptedRecord | None, verdicts: Iterable[Verdict], left_out: Callable[[str], bool]
) -> Iterator[Verdict]:
    """Yield the accepted verdicts of gates that did not run, since they were *left_out*."""
    ran = {(verdict.gate, verdict.variant) for verdict in verdicts}
    for verdict in before.verdicts if before else ():
        if (verdict.gate, verdict.variant) not in ran and left_out(node_id(verdict)):
            yield verdict


def _default_limits(before: AcceptedRecord | None, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the default limits by gate; those of gates without a verdict stay."""
    evaluated = {verdict.gate for verdict in verdicts}
    kept = before.limits if before else {}
    checks = ((verdict.gate, check) for verdict in verdicts for check in verdict.checks)
    return {gate: limit for gate, limit in kept.items() if gate not in evaluated} | {
        gate: check.limit for gate, check in checks if check.has_default_limit
    }


def _rooms(before: AcceptedRecord | None, verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return the room to think of each variant; that of variants without a verdict stays."""
    judged = {verdict.variant for verdict in verdicts}
    kept = before.rooms if before else {}
    return {name: room for name, room in kept.items() if name not in judged} | {
        verdict.variant: int(verdict.facts[ROOM_FACT])
        for verdict in verdicts
        if ROOM_FACT in verdict.facts
    }


def _skill_levels(
    before: AcceptedRecord | None, verdicts: Sequence[Verdict]
) -> dict[str, Mapping[str, int]]:
    """Return the levels of skills by variant; those of variants without new ones stay."""
    levels = dict(before.skill_levels) if before else {}
    for verdict in verdicts:
        found = {
            fact.removeprefix(LEVEL_FACT): int(value)
            for fact, value in verdict.facts.items()
            if fact.startswith(LEVEL_FACT)
        }
        levels |= {verdict.variant: found} if found else {}
    return levels


def _anchors(
    before: AcceptedRecord, accepted: Iterable[str], *, moves_anchor: bool
) -> dict[str, Anchor]:
    """Return the anchors after results of the variants *accepted* replace those in *before*."""
    anchors = dict(before.anchors)
    for name in accepted:
        if moves_anchor:
            anchors.pop(name, None)
        elif name in before.variants:
            anchors.setdefault(name, Anchor(before.at, before.variants[name]))
    return anchors


def accepted_samples(
    record: AcceptedRecord | None, suite: Suite, variant: str, kind: str
) -> AcceptedSamples | None:
    """Return the samples of *variant* that were accepted last, or None if there are none.

    Cases that changed since are stale and left out. Cases that the suite no longer has are ignored.
    *kind* is that of the gate, ``accuracy`` or ``format``.
    """
    if record is None or variant not in record.variants:
        return None
    return _samples(record.variants[variant], suite, kind)


def anchor_samples(
    record: AcceptedRecord | None, suite: Suite, variant: str, kind: str
) -> AcceptedSamples | None:
    """Return the samples of *variant* that were accepted first, if others followed, or None.

    See `accepted_samples`.
    """
    if record is None or variant not in record.anchors:
        return None
    return _samples(record.anchors[variant].cases, suite, kind)


def _samples(rows: Mapping[str, AcceptedCase], suite: Suite, kind: str) -> AcceptedSamples:
    cases = {case.id: case for case in suite.cases}
    accepted = {id_: case for id_, case in rows.items() if id_ in cases}
    folder = suite.path.parent
    fresh = {
        case_id: _case_sample(case, cases[case_id], kind)
        for case_id, case in accepted.items()
        if case.case_digest == _case_digest(cases[case_id], folder)
    }
    return AcceptedSamples(samples_from_cases(fresh), len(accepted) - len(fresh))


def _case_sample(accepted: AcceptedCase, case: Case, kind: str) -> CaseSample:
    value = accepted.correct if kind == "accuracy" else accepted.valid
    return CaseSample(value, accepted.repeats, accepted.replies_digest, case.group, case.weight)
