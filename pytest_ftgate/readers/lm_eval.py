"""Samples of lm-evaluation-harness, which ``--log_samples`` writes as ``samples_*.jsonl``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, input_in
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import text_of

#: The date at the end of the name of a file.
_DATE = re.compile(r"_\d{4}-\d\d-\d\dT[\d.-]+$")
_KEYS = {"doc_id", "doc", "filtered_resps"}
#: What a filter leaves of a reply in which it finds nothing.
_INVALID = "[invalid]"
#: The score of a sample under one filter is written as in the results of the tool.
_SEPARATOR = ","


def sample_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of samples below *folder*, those of a task by their dates."""
    return tuple(sorted(folder.rglob("samples_*.jsonl")))


def newest_by_task(paths: Iterable[Path]) -> dict[str, Path]:
    """Return the last of *paths* of each task, by task."""
    return {task_of(path): path for path in paths}


def task_of(path: Path) -> str:
    """Return the task whose samples are in the file *path*."""
    return _DATE.sub("", path.stem.removeprefix("samples_"))


def _find_samples(raw: RawFile) -> Found | None:
    if not raw.rows or not raw.rows[0].value.keys() >= _KEYS:
        return None
    named = [(row.value, metric) for row in raw.rows for metric in row.value.get("metrics", ())]
    # Of such a metric a sample holds what goes into it, as a pair of answer and reply.
    whole = dict.fromkeys(name for sample, name in named if isinstance(sample.get(name), list))
    scores = [
        f"{metric}{_SEPARATOR}{_filter_of(sample)}"
        for sample, metric in named
        if metric not in whole
    ]
    first = _filter_of(raw.rows[0].value)
    rows = [row for row in raw.rows if scores or _filter_of(row.value) == first]
    notes = [f"not read: {', '.join(whole)}, a figure of all samples together"] if whole else []
    return Found(rows, scores, notes)


def _filter_of(sample: Mapping[str, Any]) -> str:
    return str(sample.get("filter", "none"))


def _sample(row: Row, score: str) -> Sample | None:
    sample = row.value
    metric, _, filter_name = score.partition(_SEPARATOR)
    if score and _filter_of(sample) != filter_name:
        return None
    choices = [*_choices(sample)]
    target = text_of(sample.get("target"))
    if choices and target is not None and target.isdecimal() and int(target) < len(choices):
        target = choices[int(target)]
    doc = sample["doc"] if isinstance(sample["doc"], Mapping) else {"text": sample["doc"]}
    reply = _reply(sample, choices)
    return Sample(
        # A column of the data set may be named as such.
        {**doc, **sample},
        sample.get(metric),
        {"input": input_in(doc) or _prompt(sample), "expected": target, "reply": reply},
        line=row.line,
        choices=len(choices),
    )


def _arguments(sample: Mapping[str, Any]) -> list[Any]:
    arguments = sample.get("arguments")
    values = [*arguments.values()] if isinstance(arguments, Mapping) else arguments or []
    return [
        [*value.values()] if isinstance(value, Mapping) else value
        for value in values
        if isinstance(value, Mapping | Sequence)
    ]


def _prompt(sample: Mapping[str, Any]) -> str:
    arguments = _arguments(sample)
    first = arguments[0][0] if arguments and arguments[0] else ""
    return text_of(first[0] if isinstance(first, list) and first else first) or ""


def _choices(sample: Mapping[str, Any]) -> Iterator[str]:
    """Yield the continuations whose likelihoods were compared; none for generated text."""
    responses = sample["filtered_resps"]
    is_compared = len(responses) > 1 and all(_likelihood(value) is not None for value in responses)
    for arguments in _arguments(sample) if is_compared else ():
        yield str(arguments[1]).strip() if len(arguments) > 1 else ""


def _likelihood(response: Any) -> float | None:
    """Return the log-likelihood in ``[likelihood, is_greedy]``, or None."""
    try:
        return float(response[0]) if isinstance(response, list) else None
    except (IndexError, TypeError, ValueError):
        return None


def _reply(sample: Mapping[str, Any], choices: Sequence[str]) -> str | None:
    responses = sample["filtered_resps"]
    if choices and len(choices) == len(responses):
        likelihoods = [_likelihood(response) or 0.0 for response in responses]
        return choices[likelihoods.index(max(likelihoods))]
    text = text_of(responses[0] if responses else None)
    if text != _INVALID:
        return text
    # What the model wrote shows more than that the filter found nothing in it.
    raw = next(iter(sample.get("resps") or ()), None)
    return text_of(raw[0] if isinstance(raw, list) and raw else raw) or text


LM_EVAL = ToolFormat(
    "lm-evaluation-harness samples",
    "",
    {"id": "doc_id", "input": "doc", "expected": "target", "reply": "filtered_resps"},
    _find_samples,
    _sample,
)
