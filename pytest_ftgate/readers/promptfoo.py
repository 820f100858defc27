"""Results of promptfoo: what ``promptfoo eval -o`` writes as ``.json`` and ``.jsonl``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import multimode
from typing import Any

from pytest_ftgate.readers.agent_runs import RunFacts, measured, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, part_of
from pytest_ftgate.readers.text import joined_values, mappings_in, text_at, text_of, value_at

_KEYS = {"testIdx", "promptIdx", "success"}
#: Assertions whose value is an expected answer.
_ANSWERS = ("equals", "contains", "icontains", "similar", "is-exact", "factuality", "answer")
#: The reason of a failure that is an error of the provider, and no wrong answer.
_ERROR = 2


def _find_results(raw: RawFile) -> Found | None:
    """Return the results of one output, which is one provider with one prompt.

    Of a file with several, ``PATH::NAME`` names it.

    Raises:
        ConfigurationError: the file has several outputs, or not the one that the user names.
    """
    results = [*_results(raw)]
    if not results or not all(result.keys() >= _KEYS for result in results):
        return None
    outputs = _outputs(results)
    output = part_of(raw, [*outputs], "outputs")
    kept = [result for result in results if _output_key(result) == outputs[output]]
    named = (name for result in kept for name in result.get("namedScores") or {})
    counts = Counter(map(_test_key, kept))
    repeats = _repeats(counts)
    notes = (*_notes(kept), *_lost_notes(counts, repeats))
    return Found([*_numbered(kept, repeats)], ("success", "score", *named), notes)


def _repeats(counts: Mapping[str, int]) -> int:
    """Return how many runs most tests have: all that ``--repeat`` wants, if few are lost.

    Of two counts that are as frequent it is the larger: runs are lost, and never added.
    """
    return max(multimode(counts.values())) if len(counts) > 1 else 1


def _numbered(
    results: Sequence[Mapping[str, Any]], repeats: int
) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Yield each result with the number of its test.

    With ``--repeat`` each run of a test has a ``testIdx`` of its own. Runs are recognised by
    variables and assertions. A test keeps its number where other results are lost, unless its
    variables have several values, whose runs promptfoo counts in turn.
    """
    in_order = sorted(results, key=lambda result: int(result["testIdx"]))
    keys = [_test_key(result) for result in in_order]
    places = {(key, int(r["testIdx"]) // repeats) for key, r in zip(keys, in_order, strict=True)}
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(places) == len(numbers) == len({place for _, place in places}):
        numbers = dict(places)
    for result, key in zip(in_order, keys, strict=True):
        yield result, numbers[key] if repeats > 1 else result["testIdx"]


def _lost_notes(counts: Mapping[str, int], repeats: int) -> Iterator[str]:
    lost = sum(max(0, repeats - count) for count in counts.values())
    if lost:
        yield f"{lost:,} of {repeats * len(counts):,} runs without a result, left out"


def _test_key(result: Mapping[str, Any]) -> str:
    parts = [value_at(result, path) for path in ("vars", "testCase.description", "testCase.assert")]
    return json.dumps(parts, sort_keys=True, default=str)


def _results(raw: RawFile) -> Iterable[Mapping[str, Any]]:
    if raw.document is None:
        return (row.value for row in raw.rows)
    # Versions differ in how deep the list lies.
    listed = value_at(raw.document, "results.results") or raw.document.get("results")
    return mappings_in(listed if isinstance(listed, list) else None)


def _output_key(result: Mapping[str, Any]) -> tuple[str, int]:
    return _provider(result), int(result["promptIdx"])


def _provider(result: Mapping[str, Any]) -> str:
    provider = result.get("provider")
    if isinstance(provider, Mapping):
        return text_at(provider, "label") or text_at(provider, "id")
    return text_of(provider) or ""


def _outputs(results: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, int]]:
    """Return the key of each output by its name: the provider, and the prompt if it needs it."""
    labels = {_output_key(r): text_at(r, "prompt.label") or str(r["promptIdx"]) for r in results}
    # With several providers, promptfoo counts a prompt again for each.
    providers = Counter(provider for provider, _ in labels)
    if max(providers.values()) == 1:
        return {key[0]: key for key in labels}
    several = len(providers) > 1
    return {f"{key[0]} {label}" if several else label: key for key, label in labels.items()}


def _notes(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    without = sum(_expected(result) is None for result in results)
    if without:
        yield (
            f"{without:,} of {len(results):,} tests have no assertion that states an answer; "
            "their success is read as it is"
        )


def _is_error(result: Mapping[str, Any]) -> bool:
    return result.get("failureReason") == _ERROR or bool(value_at(result, "response.error"))


def _expected(result: Mapping[str, Any]) -> Any:
    written = value_at(result, "testCase.assert")
    assertions = mappings_in(written if isinstance(written, list) else None)
    answers = (one.get("value") for one in assertions if one.get("type") in _ANSWERS)
    return next((answer for answer in answers if isinstance(answer, str)), None)


def _sample(numbered: tuple[Mapping[str, Any], Any], score: str) -> Sample:
    result, number = numbered
    variables = result.get("vars") or {}
    return Sample(
        {**(value_at(result, "testCase.metadata") or {}), **variables, **result},
        result.get(score, (result.get("namedScores") or {}).get(score)),
        {"id": number, "input": joined_values(variables), "expected": _expected(result)},
        is_error=_is_error(result),
        run=_run_facts(result),
    )


def _run_facts(result: Mapping[str, Any]) -> RunFacts:
    usage = result.get("tokenUsage") or value_at(result, "response.tokenUsage")
    calls = value_at(result, "response.metadata.toolCalls")
    skills = value_at(result, "response.metadata.skillCalls")
    # Agents list the tools that they called; the skills only if they read any.
    named = skills if isinstance(skills, list) else [] if isinstance(calls, list) else None
    return stated_run(
        model=text_at(result, "provider.id") or _provider(result),
        status="error" if _is_error(result) else "passed" if result["success"] else "failed",
        cost_usd=measured(result.get("cost")) or measured(value_at(result, "response.cost")),
        milliseconds=result.get("latencyMs"),
        tool_calls=len(calls) if isinstance(calls, list) else None,
        uses=None if named is None else tuple(dict.fromkeys(text_at(one, "name") for one in named)),
        tokens=[value_at(usage, key) for key in ("prompt", "completion", "total")],
    )


PROMPTFOO_RESULTS = ToolFormat(
    "promptfoo results",
    "test",
    {"id": "testIdx", "input": "vars", "expected": "assert", "reply": "response.output"},
    _find_results,
    _sample,
    unit="test",
)
