"""The suite that compares files of answers: in memory, and as files that pytest evaluates."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import ValidationError

from pytest_ftgate.errors import (
    ConfigurationError,
    FtgateError,
    RequestRejected,
    SuiteError,
    did_you_mean,
)
from pytest_ftgate.gates.design import MANY_TASKS, SEVERAL_RUNS
from pytest_ftgate.gates.kinds import infeasible_limits
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow
from pytest_ftgate.readers.pairing import PairedRows, with_expected
from pytest_ftgate.readers.table import Row
from pytest_ftgate.reporting.notes import notes_text
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.settings import docs_page
from pytest_ftgate.suite.cases import to_cases
from pytest_ftgate.suite.declaration import DeclaredReply
from pytest_ftgate.suite.draft import SuiteSource
from pytest_ftgate.suite.external_cases import case_value
from pytest_ftgate.suite.formats import resolve_format
from pytest_ftgate.suite.gate_kinds import CLAIMS, THESE_TASKS, RateGate, is_rate
from pytest_ftgate.suite.model import Case, Inputs, ReplyRules, Suite, Variant, digest
from pytest_ftgate.suite.providers import RECORDED
from pytest_ftgate.suite.rule import Rule, function_error
from pytest_ftgate.suite.score_rules import resolve_score
from pytest_ftgate.suite.scorers import parse_number

_SUFFIX = ".ftgate.yaml"
#: More distinct answers are hardly labels.
_MAX_LABELS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSuite:
    """A suite of recorded variants, with all that its files hold.

    Attributes:
        declared: the value of ``reply`` in the suite file.
        case_rows: the lines of the file of cases, as values.
        reply_rows: by variant, the lines of its file of replies, as values. Replies to the inputs
            of the suite are among them.
        usual_repeats: how many replies to each case the limit is sized for.
        is_capped: True if the limit is not declared, and smaller than what the cases can show.
    """

    suite: Suite
    declared: Mapping[str, Any]
    case_rows: Sequence[Mapping[str, Any]]
    reply_rows: Mapping[str, Sequence[Mapping[str, Any]]]
    usual_repeats: int = 1
    is_capped: bool = False

    def coarse_limit(self, gate: RateGate) -> Iterator[Note]:
        """Yield what the cases can show if the default limit of *gate* is coarse, or None."""
        from pytest_ftgate.gates.power import coarse_limit, default_limit

        # Inputs may show more.
        if self.suite.inputs:
            return
        planned = replace(self.suite, repeats=self.usual_repeats)
        yield from coarse_limit(planned, gate, default_limit(planned, gate))

    def requests(self, variant: str) -> tuple[CaseRequest, ...]:
        """Return a request for each reply of *variant*, and for each case without one."""
        rows = self.reply_rows[variant]
        # As with a file of replies, two sides have the same requests if all replies are equal.
        # Equal scores alone do not say that the replies were.
        # What the runs took differs even where the replies are equal.
        said = [{key: value for key, value in row.items() if key != "run"} for row in rows]
        shared = digest(said if any(row["text"] for row in rows) else [variant, said])
        counts = Counter(row["id"] for row in rows)
        return tuple(
            CaseRequest(case, repeat, _request(case, repeat, shared))
            for case in (*self.suite.cases, *self.suite.inputs_suite.cases)
            for repeat in range(max(1, counts[case.id]))
        )

    def scores(self, variant: str, suite: Suite) -> VariantScores:
        """Return the scores of *variant* of the cases of *suite*: this one, or its inputs."""
        asked = {case.id for case in suite.cases}
        requests = [one for one in self.requests(variant) if one.case.id in asked]
        return score_replies(variant, requests, self.results(variant), self.suite.path.parent)

    def all_scores(self, suite: Suite) -> dict[str, VariantScores]:
        """Return the scores of each variant of the cases of *suite*."""
        return {name: self.scores(name, suite) for name in self.suite.variants}

    def results(self, variant: str) -> dict[str, Reply | FtgateError]:
        """Return the reply to each request of *variant*, or why there is none."""
        given: dict[str, list[Reply | FtgateError]] = defaultdict(list)
        missing = [RequestRejected(f"{variant} has none")]
        for row in self.reply_rows[variant]:
            came = row["text"] is not None
            stated = {key: row[key] for key in ("text", "score", "run") if key in row}
            given[row["id"]].append(Reply.from_dict(stated) if came else missing[0])
        return {
            case_request.fingerprint: (given[case_request.case.id] or missing)[case_request.repeat]
            for case_request in self.requests(variant)
        }

    @property
    def problem(self) -> str:
        """Why a run would refuse the suite, whose cases can never show its limit; else ""."""
        if self.suite.inputs is not None:
            page = docs_page("suite", "inputs")
            return f"a suite with inputs and their labels is written by hand: {page}"
        return "; ".join(notes_text(problem) for _, problem in infeasible_limits(self.suite))

    def write(self, path: Path, origin: str) -> list[Path]:
        """Write the suite to *path*, and cases and replies beside it; *origin* is for a comment.

        Raises:
            ConfigurationError: the name is not that of a suite, a file exists already, or a run
                would refuse the suite.
        """
        if self.problem:
            raise ConfigurationError(f"--write: a run would refuse this suite: {self.problem}")
        if not path.name.endswith(_SUFFIX) or path.name == _SUFFIX:
            raise ConfigurationError(f"{path}: the name of a suite ends in {_SUFFIX}")
        stem = path.name.removesuffix(_SUFFIX)
        files = {path.with_name(f"{stem}.cases.jsonl"): json_lines(self.case_rows)}
        for variant, rows in self.reply_rows.items():
            files[path.with_name(f"{stem}.{variant}.jsonl")] = json_lines(rows)
        files[path] = "".join(f"{line}\n" for line in self._yaml_lines(stem, origin))
        existing = [str(file) for file in files if file.exists()]
        if existing:
            raise ConfigurationError(
                f"{', '.join(existing)} exists already; remove it, or choose another name"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.write_text(text, "utf-8")
        return [*files]

    def _yaml_lines(self, stem: str, origin: str) -> Iterator[str]:
        gate = next(filter(is_rate, self.suite.gates.values()))
        yield f"# made by pytest-ftgate compare from {' '.join(origin.split())}"
        yield f"cases: {json.dumps(f'{stem}.cases.jsonl')}"
        yield f"reply: {json.dumps(self.declared, ensure_ascii=False)}"
        if self.suite.repeats != 1:
            yield f"repeats: {self.suite.repeats}"
        yield "variants:"
        for name, variant in self.suite.variants.items():
            keys = {"provider": variant.provider, "replies": f"{stem}.{name}.jsonl"}
            declared = keys if variant.gated else {**keys, "gated": False}
            yield f"  {json.dumps(name)}: {json.dumps(declared, ensure_ascii=False)}"
        yield f"baseline: {json.dumps(self.suite.baseline)}"
        # A run sizes the limit for as many replies to each case.
        is_sized = gate.has_default_limit and self.usual_repeats == self.suite.repeats
        limit: dict[str, Any] = {} if is_sized else {"max_drop": gate.max_drop}
        limit |= {"slices": [*gate.slices]} if gate.slices else {}
        limit |= {"claim": gate.claim} if gate.claim else {}
        yield f"gates: {json.dumps({gate.kind: limit})}"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return *rows* as lines of JSON."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _request(case: Case, repeat: int, shared: str) -> Request:
    return Request(
        fingerprint=digest([shared, case.id, repeat]),
        provider=RECORDED,
        model="",
        messages=(),
        max_tokens=1,
        sampling={},
        repeat=repeat,
    )


# Building the suite ------------------------------------------------------------------------------


def build_suite(
    files: Sequence[AnswerFile],
    paired: PairedRows,
    scorer: str | Mapping[str, Any] | None,
    limit: Mapping[str, Any],
    labels: Path | None = None,
) -> ComparedSuite:
    """Return the suite whose accuracy gate compares the candidates with the base.

    *scorer* is a score as in a suite file; None for the scores of the files, else for a rule that
    fits the expected answers. *limit* are the fields of the gate that `file_limit` returns.
    *labels* is a file of labels; rows without an expected answer and a score are inputs then.

    Raises:
        ConfigurationError: the score or the limit cannot be used.
        SuiteError: a case does not fit its score, or there are too few cases.
    """
    cases = with_expected(paired.cases, paired.rows[1:])
    declared = _declared_reply(files, paired, cases, scorer)
    source = SuiteSource(root=Path.cwd(), path=Path.cwd() / f"compare{_SUFFIX}")
    reply = _resolve_reply(source, declared)
    asked = {} if labels is None else _without_answer(cases, paired)
    cases = {case_id: row for case_id, row in cases.items() if case_id not in asked}
    case_rows = [case_value(case_id, row, reply.score.kind) for case_id, row in cases.items()]
    built = _cases(source, files[0], cases, case_rows, reply)
    inputs = _inputs(source, files[0], asked, reply, labels) if labels and asked else None
    if source.errors:
        raise SuiteError(files[0].name, source.errors)
    # A tag that all cases have is no part of them.
    slices = ("tag",) if len({case.tags for case in built}) > 1 else ()
    gate = RateGate(kind="accuracy", line=1, slices=slices, **limit)
    if not gate.claim and inputs is None and _are_few_tasks(paired, slices):
        gate = replace(gate, claim=THESE_TASKS)
    suite = _suite(files, built, reply, gate, paired.repeats[1], inputs)
    if "max_drop" not in limit:
        gate = replace(gate, **_shown_limit(replace(suite, repeats=paired.usual_repeats), gate))
        suite = replace(suite, gates={gate.kind: gate})
    sides = zip(suite.variants, paired.rows, strict=True)
    return ComparedSuite(
        suite=suite,
        declared=declared,
        case_rows=case_rows,
        reply_rows={name: _reply_rows(side, reply.score) for name, side in sides},
        usual_repeats=paired.usual_repeats,
        is_capped="max_drop" not in limit and not gate.has_default_limit,
    )


def _cases(
    source: SuiteSource,
    file: AnswerFile,
    rows: Mapping[str, AnswerRow],
    values: Sequence[Mapping[str, Any]],
    reply: ReplyRules,
) -> tuple[Case, ...]:
    """Return the cases with these *values*, which are those of *rows* of *file*."""
    path, lines = file.path.absolute(), (row.line for row in rows.values())
    return to_cases(
        source, (Row(path, line, value) for line, value in zip(lines, values, strict=True)), reply
    )


def _without_answer(cases: Mapping[str, AnswerRow], paired: PairedRows) -> dict[str, AnswerRow]:
    """Return those of *cases* that have neither an expected answer nor a score in any file."""
    scored = {
        case_id
        for side in paired.rows
        for case_id, rows in side.items()
        if any(row.score is not None for row in rows)
    }
    return {
        case_id: row
        for case_id, row in cases.items()
        if row.expected is None and case_id not in scored
    }


def _inputs(
    source: SuiteSource,
    file: AnswerFile,
    rows: Mapping[str, AnswerRow],
    reply: ReplyRules,
    labels: Path,
) -> Inputs:
    """Return *rows* as inputs whose replies are normalised as the score of *reply* does it."""
    values = [case_value(case_id, row, reply.score.kind) for case_id, row in rows.items()]
    cases = _cases(source, file, rows, values, replace(reply, score=Rule("exact")))
    from pytest_ftgate.suite.pair_labels import read_pair_labels

    if labels.suffix != ".jsonl":
        raise ConfigurationError(f"--labels {labels}: a file of labels ends in .pairs.jsonl")
    return Inputs(
        line=1,
        cases=cases,
        score=reply.score,
        labels=read_pair_labels(source, labels.absolute()),
        labels_path=labels,
    )


def _suite(
    files: Sequence[AnswerFile],
    cases: tuple[Case, ...],
    reply: ReplyRules,
    gate: RateGate,
    repeats: int,
    inputs: Inputs | None,
) -> Suite:
    shown = " → ".join(file.name for file in files)
    if inputs is None and not any(case.is_scorable for case in cases):
        raise _nothing_to_score(files, shown)
    # Repeated replies vary, as those in a file with several replies to a case do.
    sampling = {"temperature": 1.0} if repeats > 1 else {}
    variants = {
        name: Variant(name=name, line=1, provider=RECORDED, gated=index > 0, sampling=sampling)
        for index, name in enumerate(variant_names(files))
    }
    return Suite(
        path=Path.cwd() / f"compare{_SUFFIX}",
        name=shown,
        cases=cases,
        inputs=inputs,
        reply=reply,
        variants=variants,
        baseline=next(iter(variants)),
        gates={gate.kind: gate},
        repeats=repeats,
    )


def _nothing_to_score(files: Sequence[AnswerFile], shown: str) -> ConfigurationError:
    remedies = [
        "name a column with --expected or --score",
        "a file that has them with --cases",
        "or label the replies that differ with pytest-ftgate label and name the file by --labels",
    ]
    unread = files[0].unread
    columns = [f"not read: {', '.join(unread)}"] if unread else []
    parts = (f"{shown}: no expected answer and no score", ", ".join(remedies))
    return ConfigurationError("; ".join((*parts, *files[0].notes, *columns)))


def _are_few_tasks(paired: PairedRows, slices: tuple[str, ...]) -> bool:
    """Return True if there are few cases with several replies each, as of agents."""
    # One run that is missing makes no other claim.
    runs = median(len(rows) for side in paired.rows for rows in side.values())
    return len(paired.cases) < MANY_TASKS and runs >= SEVERAL_RUNS and not slices


def _shown_limit(suite: Suite, gate: RateGate) -> dict[str, Any]:
    """Return the limit of a gate that declares none: what its cases can show, up to 15 points.

    Cases that cannot show it leave the comparison open, unless the drop is beyond it for sure.
    """
    from pytest_ftgate.gates.power import COARSE_LIMIT, default_limit

    shown = default_limit(suite, gate)
    if shown is None or shown > COARSE_LIMIT:
        return {"max_drop": COARSE_LIMIT}
    return {"max_drop": shown, "has_default_limit": True}


def file_limit(limit: float | None, claim: str | None = None) -> dict[str, Any]:
    """Return the fields of the gate for what is declared of it; {} if nothing is.

    Raises:
        ConfigurationError: the limit is no share, or the claim is unknown.
    """
    if claim not in (None, *CLAIMS):
        hint = did_you_mean(claim, CLAIMS) or f"; write {' or '.join(CLAIMS)}"
        raise ConfigurationError(f'--claim: there is no claim "{claim}"{hint}')
    claimed = {} if claim is None else {"claim": claim}
    if limit is None:
        return claimed
    if not 0 < limit < 1:
        percent = f"; for {limit:g} points write {limit / 100:g}" if limit >= 1 else ""
        raise ConfigurationError(f"--max-drop is {limit:g}, but is above 0 and below 1{percent}")
    return {"max_drop": limit, **claimed}


def variant_names(files: Sequence[AnswerFile]) -> tuple[str, ...]:
    """Return a short and unique name for each file: its stem, its folder, or with a number."""
    whole = (_stem, lambda file: file.path.stem or file.name)
    for name_of in (*whole, lambda file: f"{file.path.absolute().parent.name}-{_stem(file)}"):
        names = [re.sub(r"[^\w.-]+", "-", name_of(file)).strip("-.") for file in files]
        if all(names) and len({*names}) == len(names):
            return tuple(names)
    return tuple(f"{_stem(file) or 'file'}-{n}" for n, file in enumerate(files, start=1))


def _stem(file: AnswerFile) -> str:
    part = file.name.partition("::")[2]
    is_file = bool(file.path.suffix) and not file.path.is_dir()
    return part or (file.path.name.partition(".")[0] if is_file else file.name)


def _declared_reply(
    files: Sequence[AnswerFile],
    paired: PairedRows,
    cases: Mapping[str, AnswerRow],
    scorer: str | Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the value of ``reply`` in a suite file."""
    scores = [row.score for side in paired.rows for rows in side.values() for row in rows]
    stated = [score for score in scores if score is not None]
    if scorer is None and all(_has_scores(side) for side in paired.rows):
        partial = any(score not in (0.0, 1.0) for score in stated)
        return {"score": {"recorded": {"partial": True}} if partial else "recorded"}
    expected = [row.expected for row in cases.values() if row.expected is not None]
    if scorer is None and stated:
        raise _scored_apart(files, paired)
    if scorer is None:
        is_number = bool(expected) and all(
            parse_number(answer, {}) is not None for answer in expected
        )
        return {"score": "numeric" if is_number else "exact"}
    labels = sorted({str(answer) for answer in expected if not isinstance(answer, list | Mapping)})
    if scorer == "choice" and 1 < len(labels) <= _MAX_LABELS:
        return {"format": {"choice": labels}, "score": scorer}
    return {"score": scorer}


def _scored_apart(files: Sequence[AnswerFile], paired: PairedRows) -> ConfigurationError:
    """Return the error about files of which some state scores, which others lack."""
    sides = [*zip(files, paired.rows, strict=True)]
    scored, without = (
        ", ".join(file.name for file, side in sides if _has_scores(side) is wanted)
        for wanted in (True, False)
    )
    return ConfigurationError(
        f"{scored} states scores and {without} does not: score it with the same tool, or score the "
        "replies of all files by a rule (--scorer exact)"
    )


def _has_scores(side: Mapping[str, tuple[AnswerRow, ...]]) -> bool:
    return any(row.score is not None for rows in side.values() for row in rows)


def _resolve_reply(source: SuiteSource, declared: Mapping[str, Any]) -> ReplyRules:
    try:
        reply = DeclaredReply.model_validate(declared)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ConfigurationError(f"--scorer: {message}") from error
    score = resolve_score(source, reply.score, 0)
    problem = function_error(score, source.path.parent)
    if any(part.kind == "judge" for part in score.parts):
        problem = "a judge sends requests to a model; grade the replies in a suite"
    if problem or source.errors:
        raise ConfigurationError(f"--scorer: {problem or source.errors[0].message}")
    formats = tuple(resolve_format(source, rule, lambda *_: 0) for rule in reply.format)
    return ReplyRules(format=formats, score=score)


def _reply_rows(
    side: Mapping[str, tuple[AnswerRow, ...]], score: Rule
) -> tuple[dict[str, Any], ...]:
    """Return the replies of one file as lines of a file of recorded replies.

    The text is None where there is no reply: one without the score that counts is as good as none.
    """
    is_stated = score.kind == RECORDED
    return tuple(
        {"id": case_id, "text": None}
        if (row.score if is_stated else row.reply) is None
        else {"id": case_id, "text": row.reply or ""}
        | ({"score": row.score} if is_stated else {})
        | ({"run": row.run.to_plain()} if row.run else {})
        for case_id, rows in side.items()
        for row in rows
    )
