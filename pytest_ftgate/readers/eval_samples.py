"""Replies one by one: HELM, Every Eval Ever, and the batches of hosted APIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.readers.agent_runs import RunFacts, measured, skills_read, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import mappings_in, text_of, value_at

# HELM ---------------------------------------------------------------------------------------------

#: Scores that say how much of a reply is right, the likeliest first; other figures are many.
_RIGHT = ("quasi_exact_match", "exact_match", "prefix_exact_match", "quasi_prefix_exact_match")


def _find_instances(raw: RawFile) -> Found | None:
    rows = [row.value for row in raw.rows]
    if not rows or not all(row.keys() >= {"instance_id", "stats"} for row in rows):
        return None
    names = dict.fromkeys(name for row in rows for name in _stats(row))
    usual = [name for name in _RIGHT if name in names]
    # Of the same instance with changes, such as typing errors, the unchanged one counts.
    plain = [row for row in rows if not row.get("perturbation")]
    left = len(rows) - len(plain)
    notes = (
        [f"not read: {left:,} of {len(rows):,} instances, which have a perturbation"]
        if left
        else []
    )
    return Found(plain, (*usual, *names), notes)


def _stats(row: Mapping[str, Any]) -> dict[str, Any]:
    stats = mappings_in(iter(row["stats"]))  # null is damage here
    return {str(value_at(stat, "name.name")): stat.get("mean") for stat in stats}


def _instance(row: Mapping[str, Any], score: str) -> Sample | None:
    stats = _stats(row)
    return Sample(row, stats[score]) if score in stats else None


HELM = ToolFormat(
    "HELM per-instance stats", "instance", {"id": "instance_id"}, _find_instances, _instance
)

# Every Eval Ever ----------------------------------------------------------------------------------

_EVERY_KEYS = {"schema_version", "sample_id", "input", "evaluation"}


def _find_evaluations(raw: RawFile) -> Found | None:
    if not raw.rows or not raw.rows[0].value.keys() >= _EVERY_KEYS:
        return None
    return Found(raw.rows, ("evaluation.score", "evaluation.is_correct"))


def _evaluation(row: Row, score: str) -> Sample:
    record = row.value
    reply, choices = value_at(record, "output.raw"), value_at(record, "input.choices")
    first = reply[0] if isinstance(reply, list) and reply else reply
    # Agents have messages in place of an output.
    text = text_of(first) if reply is not None else text_of(record.get("messages"))
    return Sample(
        record,
        value_at(record, score),
        {"reply": text},
        is_error=bool(record.get("error")),
        line=row.line,
        choices=len(choices) if isinstance(choices, list) else 0,
        run=_run_facts(record),
    )


def _run_facts(record: Mapping[str, Any]) -> RunFacts:
    turns, usage = mappings_in(record.get("messages")), record.get("token_usage") or {}
    calls = [call for turn in turns for call in turn.get("tool_calls") or ()]
    sent = [measured(value_at(usage, key)) or 0.0 for key in _SENT]
    return stated_run(
        model=text_of(record.get("model_id")) or "",
        status="error" if record.get("error") else "completed",
        milliseconds=value_at(record, "performance.latency_ms"),
        tool_calls=value_at(record, "evaluation.tool_calls_count"),
        uses=skills_read((str(call["name"]), call.get("arguments")) for call in calls)
        if turns
        else None,
        tokens=(sum(sent), usage.get("output_tokens"), usage.get("total_tokens")),
    )


#: The tokens that were sent.
_SENT = ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")


EVERY_EVAL = ToolFormat(
    "Every Eval Ever samples",
    "",
    {
        "id": "sample_id",
        "input": "input.raw",
        "expected": "input.reference",
        "reply": "output.raw",
    },
    _find_evaluations,
    _evaluation,
)

# Batches ------------------------------------------------------------------------------------------

#: Where a batch holds what it brought, by the API: OpenAI and those that copy it, and Anthropic.
_BROUGHT = ("response", "result")
_TEXTS = ("response.body.choices.0.message.content", "result.message.content")


def _find_results(raw: RawFile) -> Found | None:
    rows = [row for row in raw.rows if "custom_id" in row.value]
    brought = (row.value.get(key) for row in rows for key in _BROUGHT)
    if len(rows) < len(raw.rows) or not any(isinstance(one, Mapping) for one in brought):
        return None
    return Found(rows, ())


def _texts_in(record: Mapping[str, Any]) -> Iterator[Any]:
    yield from (value_at(record, path) for path in _TEXTS)
    # The Responses API: messages among reasoning and calls.
    output = value_at(record, "response.body.output")
    parts = output if isinstance(output, list) else []
    yield from (part.get("content") for part in parts if part.get("type") == "message")


def _result(row: Row, _: str) -> Sample:
    reply = next(filter(None, map(text_of, _texts_in(row.value))), None)
    return Sample(row.value, None, {"reply": reply}, is_error=reply is None, line=row.line)


BATCH = ToolFormat(
    "batch output",
    "",
    {"id": "custom_id", "reply": "response"},
    _find_results,
    _result,
)
