"""OpenAI Evals: exported output items of a run, and event logs of the open-source package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.readers.answer_rows import (
    AnswerFile,
    AnswerRow,
    Columns,
    RawFile,
    answer_in,
    first_of,
    input_in,
    pick_score,
    score_of,
    tags_of,
    text_at,
    text_of,
    tool_file,
    value_at,
)

_ITEM = "eval.run.output_item"
_EVENT_KEYS = {"run_id", "sample_id", "type", "data"}
#: The status of an item whose run ended with an error.
_ERRORS = ("error", "errored")
#: The keys of a result: the score of a grader, and whether its threshold was passed. A grader whose
#: scores are no shares of what is right is read by the second, in all items alike.
_SCORE = ("score", "passed")
#: The events of a log that hold scores, and the names of scores in the order of preference.
_GRADES = ("match", "metrics")
_USUAL_SCORES = ("correct", "accuracy", "score")


def read_openai_evals(raw: RawFile, columns: Columns) -> AnswerFile | None:
    """Return the items of an exported run, or the samples of a log; None for another file.

    Raises:
        ConfigurationError: the file has no score of the name that the user wants.
    """
    items = [item for item in _items(raw) if item.get("object") == _ITEM]
    if items:
        return _read_items(raw, items, columns)
    events = [row.value for row in raw.rows if row.value.keys() >= _EVENT_KEYS]
    return _read_events(raw, events, columns) if events else None


def _items(raw: RawFile) -> Iterable[Mapping[str, Any]]:
    listed = raw.document.get("data") if raw.document else [row.value for row in raw.rows]
    return (item for item in listed or () if isinstance(item, Mapping))


# Output items ------------------------------------------------------------------------------------


def _read_items(raw: RawFile, items: list[Mapping[str, Any]], columns: Columns) -> AnswerFile:
    graders = [name for item in items for name, _ in _results(item)]
    passing = {name for item in items for name, result in _results(item) if not _is_rated(result)}
    # With several graders, an item passes if all of them do.
    names = ["status", *graders] if len({*graders}) > 1 else graders or ["status"]
    score = pick_score(raw, names, columns.score)
    by_passing = score.name in passing
    rows = (_item_row(raw, item, score.name, columns, by_passing=by_passing) for item in items)
    usual = {"id": "datasource_item_id", "input": "datasource_item", "expected": "datasource_item"}
    usual["reply"] = "sample.output"
    pages = [f"{raw.name} is one page of several: has_more is true"]
    notes = pages if raw.document and raw.document.get("has_more") else []
    tool = "OpenAI Evals output items"
    return tool_file(raw, tool, rows, columns, score=score, usual=usual, notes=notes)


def _results(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the results of the graders by name; the export writes it with a random ending."""
    for result in item.get("results") or ():
        if isinstance(result, Mapping):
            yield str(result.get("name")), result


def _is_rated(result: Mapping[str, Any]) -> bool:
    """Return True if the score of a grader is the share of what is right.

    A grader may have a scale of its own. One of harm, as Azure's evaluators have, passes with 0.
    """
    score, passed = result.get("score"), result.get("passed")
    is_reversed = (passed is True and score == 0) or (passed is False and score == 1)
    return _is_share(score) and not is_reversed


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _item_row(
    raw: RawFile, item: Mapping[str, Any], score: str, columns: Columns, *, by_passing: bool
) -> AnswerRow:
    source = item.get("datasource_item") or {}
    record = {**source, **item}
    # Exported items of a stored data set hold their columns in "item".
    source = source["item"] if isinstance(source.get("item"), Mapping) else source
    case_id = text_at(record, columns.id or "datasource_item_id")
    is_error = item.get("status") in _ERRORS
    result = dict(_results(item)).get(score, {})
    value = item.get("status") if score == "status" else result.get(_SCORE[by_passing])
    prompt = text_at(record, columns.input) if columns.input else input_in(source)
    expected = value_at(record, columns.expected) if columns.expected else answer_in(source)
    return AnswerRow(
        line=1,
        id=case_id,
        input=prompt or text_at(item, "sample.input", role="user"),
        expected=expected,
        reply=None if is_error else _output(record, columns),
        score=None if is_error else score_of(value, f"{raw.name}: item {case_id}"),
        tags=tags_of({**source, **record}, columns),
        missing=_error(item) if is_error else "",
    )


def _error(item: Mapping[str, Any]) -> str:
    return text_at(item, "sample.error.message") or text_at(item, "sample.error") or "error"


def _output(record: Mapping[str, Any], columns: Columns) -> str | None:
    reply = text_of(value_at(record, columns.reply or "sample.output"))
    # Azure writes it among the columns of the item, under a key with a point.
    return reply if reply or columns.reply else text_of(record.get("sample.output_text"))


# Event logs --------------------------------------------------------------------------------------


def _read_events(raw: RawFile, events: list[Mapping[str, Any]], columns: Columns) -> AnswerFile:
    samples: dict[str, dict[str, Any]] = {}
    kinds: dict[str, None] = {}
    graded: dict[str, None] = {}
    for event in events:
        data = event["data"] if isinstance(event["data"], Mapping) else {}
        sample = samples.setdefault(str(event["sample_id"]), {})
        # The first sampling of a sample is its reply; a grader may sample again.
        sample.update({key: value for key, value in data.items() if key not in sample})
        kinds[str(event["type"])] = None
        if event["type"] in _GRADES:
            graded |= dict.fromkeys(key for key, value in data.items() if _is_share(value))
    score = pick_score(raw, sorted(graded, key=_rank), columns.score)
    rows = (_event_row(raw, *pair, score.name, columns) for pair in samples.items())
    unread = [kind for kind in kinds if kind not in ("sampling", *_GRADES)]
    notes = [f"not read: events of type {', '.join(unread)}"] if unread else []
    usual = {"id": "sample_id", "input": "prompt", "expected": "expected", "reply": "sampled"}
    return tool_file(raw, "OpenAI Evals log", rows, columns, score=score, usual=usual, notes=notes)


def _rank(name: str) -> int:
    return _USUAL_SCORES.index(name) if name in _USUAL_SCORES else len(_USUAL_SCORES)


def _event_row(
    raw: RawFile, sample_id: str, sample: Mapping[str, Any], score: str, columns: Columns
) -> AnswerRow:
    expected = value_at(sample, columns.expected or "expected")
    reply = value_at(sample, columns.reply) if columns.reply else first_of(sample, _REPLIES)
    texts = [*_texts(reply)]
    return AnswerRow(
        line=1,
        id=text_at(sample, columns.id) if columns.id else sample_id,
        input=text_at(sample, columns.input or "prompt", role="user"),
        expected=None if expected in ("", []) else expected,
        reply=texts[0] if texts else None,
        score=score_of(sample.get(score), f"{raw.name}: sample {sample_id}"),
        tags=tags_of(sample, columns),
        missing="" if texts else "no sampling",
    )


#: What a sample was answered, in the order of preference.
_REPLIES = ("sampled", "picked")


def _texts(reply: Any) -> Iterator[str]:
    for value in reply if isinstance(reply, list) else [reply]:
        text = text_of(value)
        if text is not None:
            yield text
