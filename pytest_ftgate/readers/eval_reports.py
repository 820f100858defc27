"""Reports of deepeval and of pydantic-evals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat
from pytest_ftgate.readers.text import mappings_in, value_at


def _find_test_cases(raw: RawFile) -> Found | None:
    document = raw.document or {}
    cases = document.get("testCases")
    if not isinstance(cases, list) or not all(isinstance(case, Mapping) for case in cases):
        return None
    names = ("success", *(name for case in cases for name in _metrics(case)))
    chats = document.get("conversationalTestCases") or []
    notes = [f"not read: {len(chats):,} conversations"] if chats else []
    return Found(cases, names, notes)


def _metrics(case: Mapping[str, Any]) -> dict[str, Any]:
    metrics = mappings_in(case.get("metricsData"))
    return {str(metric.get("name")): metric.get("score") for metric in metrics}


def _test_case(case: Mapping[str, Any], score: str) -> Sample:
    value = case.get("success") if score == "success" else _metrics(case).get(score)
    return Sample({**(value_at(case, "metadata") or {}), **case}, value)


DEEPEVAL = ToolFormat(
    "deepeval test run",
    "test case",
    {"id": "name", "input": "input", "expected": "expectedOutput", "reply": "actualOutput"},
    _find_test_cases,
    _test_case,
    tags="tags",
)


def _find_report_cases(raw: RawFile) -> Found | None:
    document = raw.document or {}
    cases = document.get("cases")
    if not isinstance(cases, list) or not all(_is_report_case(case) for case in cases):
        return None
    failures = mappings_in(document.get("failures"))
    if not cases and not failures:
        return None
    names = (name for key in ("assertions", "scores") for case in cases for name in case[key])
    labels = dict.fromkeys(label for case in cases for label in case.get("labels") or {})
    notes = [f"not read: labels {', '.join(labels)}"] if labels else []
    return Found((*cases, *failures), names, notes)


def _is_report_case(case: Any) -> bool:
    return isinstance(case, Mapping) and case.keys() >= {"inputs", "output", "assertions", "scores"}


def _report_case(case: Mapping[str, Any], score: str) -> Sample:
    scores = {**(case.get("scores") or {}), **(case.get("assertions") or {})}
    return Sample(
        {**(case.get("metadata") or {}), **case},
        value_at(scores.get(score), "value"),
        # A case that is run several times has its own name besides.
        {"id": case.get("source_case_name") or case.get("name")},
        is_error="error_message" in case,
    )


PYDANTIC_EVALS = ToolFormat(
    "pydantic-evals report",
    "case",
    {"id": "name", "input": "inputs", "expected": "expected_output", "reply": "output"},
    _find_report_cases,
    _report_case,
)
