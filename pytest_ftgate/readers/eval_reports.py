"""Reports of deepeval and of pydantic-evals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.readers.answer_rows import (
    AnswerFile,
    AnswerRow,
    Columns,
    RawFile,
    pick_score,
    score_of,
    tags_of,
    text_at,
    text_of,
    tool_file,
    value_at,
)


def read_deepeval(raw: RawFile, columns: Columns) -> AnswerFile | None:
    """Return the test cases of a deepeval test run; None if another tool wrote the file.

    Raises:
        ConfigurationError: the run has no score of the name that the user wants.
    """
    cases = (raw.document or {}).get("testCases")
    if not isinstance(cases, list) or not all(isinstance(case, Mapping) for case in cases):
        return None
    names = ("success", *(name for case in cases for name in _metrics(case)))
    score = pick_score(raw, names, columns.score)
    rows = (_deepeval_row(raw, case, score.name, columns) for case in cases)
    usual = {"id": "name", "input": "input", "expected": "expectedOutput", "reply": "actualOutput"}
    chats = (raw.document or {}).get("conversationalTestCases") or []
    notes = [f"not read: {len(chats):,} conversations"] if chats else []
    return tool_file(raw, "deepeval test run", rows, columns, score=score, usual=usual, notes=notes)


def _metrics(case: Mapping[str, Any]) -> dict[str, Any]:
    metrics = (metric for metric in case.get("metricsData") or () if isinstance(metric, Mapping))
    return {str(metric.get("name")): metric.get("score") for metric in metrics}


def _deepeval_row(raw: RawFile, case: Mapping[str, Any], score: str, columns: Columns) -> AnswerRow:
    record = {**(value_at(case, "metadata") or {}), **case}
    name = text_at(record, columns.id or "name")
    value = case.get("success") if score == "success" else _metrics(case).get(score)
    reply = text_of(value_at(record, columns.reply or "actualOutput"))
    return AnswerRow(
        line=1,
        # deepeval names a case without a name by its position.
        id=name,
        input=text_at(record, columns.input or "input", role="user"),
        expected=value_at(record, columns.expected or "expectedOutput"),
        reply=reply,
        score=score_of(value, f"{raw.name}: test case {name}"),
        tags=tags_of(record, columns, "tags"),
        missing="" if reply is not None else "the test case has no actual output",
    )


def read_pydantic_evals(raw: RawFile, columns: Columns) -> AnswerFile | None:
    """Return the cases of a pydantic-evals report; None if another tool wrote the file.

    Raises:
        ConfigurationError: the report has no score of the name that the user wants.
    """
    document = raw.document or {}
    cases = document.get("cases")
    if not isinstance(cases, list) or not all(_is_report_case(case) for case in cases):
        return None
    failures = [case for case in document.get("failures") or () if isinstance(case, Mapping)]
    if not cases and not failures:
        return None
    names = (name for key in ("assertions", "scores") for case in cases for name in case[key])
    score = pick_score(raw, names, columns.score)
    rows = (_report_row(raw, case, score.name, columns) for case in (*cases, *failures))
    usual = {"id": "name", "input": "inputs", "expected": "expected_output", "reply": "output"}
    notes = [*_report_notes(cases, failures)]
    tool = "pydantic-evals report"
    return tool_file(raw, tool, rows, columns, score=score, usual=usual, notes=notes)


def _is_report_case(case: Any) -> bool:
    return isinstance(case, Mapping) and case.keys() >= {"inputs", "output", "assertions", "scores"}


def _report_notes(cases: list[Any], failures: list[Any]) -> Iterator[str]:
    if failures:
        total = len(cases) + len(failures)
        yield f"{len(failures):,} of {total:,} cases failed: they have no reply"
    labels = dict.fromkeys(label for case in cases for label in case.get("labels") or {})
    if labels:
        yield f"not read: labels {', '.join(labels)}"


def _report_row(raw: RawFile, case: Mapping[str, Any], score: str, columns: Columns) -> AnswerRow:
    record = {**(case.get("metadata") or {}), **case}
    # A case that is run several times has its own name besides.
    name = text_at(record, columns.id or "source_case_name") or text_at(case, "name")
    values = {**(case.get("scores") or {}), **(case.get("assertions") or {})}
    value = value_at(values.get(score), "value")
    failed = "error_message" in case
    return AnswerRow(
        line=1,
        id=name,
        input=text_at(record, columns.input or "inputs", role="user"),
        expected=value_at(record, columns.expected or "expected_output"),
        reply=None if failed else text_of(value_at(record, columns.reply or "output")),
        score=score_of(value, f"{raw.name}: case {name}"),
        tags=tags_of(record, columns),
        missing=text_at(case, "error_message") if failed else "",
    )
