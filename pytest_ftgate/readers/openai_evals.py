"""OpenAI Evals: exported output items of a run, and event logs of the open-source package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.readers.answer_rows import (
    Found,
    RawFile,
    Sample,
    ToolFormat,
    answer_in,
    input_in,
)
from pytest_ftgate.readers.text import as_mapping, first_of, mappings_in, text_of, value_at

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


# Output items ------------------------------------------------------------------------------------


def _find_items(raw: RawFile) -> Found | None:
    listed = raw.document.get("data") if raw.document else [row.value for row in raw.rows]
    items = [item for item in mappings_in(listed) if item.get("object") == _ITEM]
    if not items:
        return None
    graders = [name for item in items for name, _ in _results(item)]
    passing = {name for item in items for name, result in _results(item) if not _is_rated(result)}
    # With several graders, an item passes if all of them do.
    names = ["status", *graders] if len({*graders}) > 1 else graders or ["status"]
    pages = [f"{raw.name} is one page of several: has_more is true"]
    notes = pages if raw.document and raw.document.get("has_more") else []
    return Found([(item, passing) for item in items], names, notes)


def _results(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the results of the graders by name; the export writes it with a random ending."""
    for result in mappings_in(item.get("results")):
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


def _item_sample(pair: tuple[Mapping[str, Any], set[str]], score: str) -> Sample:
    """Return an item; beside it are the graders whose scores are no shares of what is right."""
    item, passing = pair
    source = item.get("datasource_item") or {}
    # Exported items of a stored data set hold their columns in "item".
    inner = source["item"] if isinstance(source.get("item"), Mapping) else source
    record = {**inner, **source, **item}
    result = dict(_results(item)).get(score, {})
    prompt, reply = value_at(item, "sample.input"), text_of(value_at(item, "sample.output"))
    return Sample(
        record,
        item.get("status") if score == "status" else result.get(_SCORE[score in passing]),
        {
            "input": input_in(inner) or prompt,
            "expected": answer_in(inner),
            # Azure writes it among the columns of the item, under a key with a point.
            "reply": reply or record.get("sample.output_text"),
        },
        is_error=item.get("status") in _ERRORS,
    )


OPENAI_ITEMS = ToolFormat(
    "OpenAI Evals output items",
    "item",
    {
        "id": "datasource_item_id",
        "input": "datasource_item",
        "expected": "datasource_item",
        "reply": "sample.output",
    },
    _find_items,
    _item_sample,
)

# Event logs --------------------------------------------------------------------------------------


def _find_events(raw: RawFile) -> Found | None:
    events = [row.value for row in raw.rows if row.value.keys() >= _EVENT_KEYS]
    if not events:
        return None
    samples: dict[str, dict[str, Any]] = {}
    kinds: dict[str, None] = {}
    graded: dict[str, None] = {}
    for event in events:
        data = as_mapping(event["data"])
        sample = samples.setdefault(str(event["sample_id"]), {})
        # The first sampling of a sample is its reply; a grader may sample again.
        sample.update({key: value for key, value in data.items() if key not in sample})
        kinds[str(event["type"])] = None
        if event["type"] in _GRADES:
            graded |= dict.fromkeys(key for key, value in data.items() if _is_share(value))
    unread = [kind for kind in kinds if kind not in ("sampling", *_GRADES)]
    notes = [f"not read: events of type {', '.join(unread)}"] if unread else []
    names = (*(name for name in _USUAL_SCORES if name in graded), *graded)
    return Found(samples.items(), names, notes)


#: What a sample was answered, in the order of preference.
_REPLIES = ("sampled", "picked")


def _event_sample(pair: tuple[str, Mapping[str, Any]], score: str) -> Sample:
    sample_id, sample = pair
    replies = {key: _first_text(sample[key]) for key in _REPLIES if key in sample}
    values = {"id": sample_id, "reply": first_of(replies, _REPLIES)}
    return Sample({**sample, **replies}, sample.get(score), values)


def _first_text(reply: Any) -> str | None:
    texts = map(text_of, reply if isinstance(reply, list) else [reply])
    return next((text for text in texts if text is not None), None)


OPENAI_EVENTS = ToolFormat(
    "OpenAI Evals log",
    "sample",
    {"id": "sample_id", "input": "prompt", "expected": "expected", "reply": "sampled"},
    _find_events,
    _event_sample,
)
