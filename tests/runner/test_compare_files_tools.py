"""Files that other tools wrote: compared, and as a suite on the same data, they are one verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import compare, evaluate

#: Excerpts of files that the tools themselves wrote.
DATA = Path(__file__).parents[1] / "readers" / "data"
CASES = 60
Sample = dict[str, Any]


def lm_eval(sample: Sample, n: int, right: bool) -> Sample:
    reply = sample["target"] if right else "no"
    return {
        **sample, "doc_id": n, "doc": {**sample["doc"], "question": f"Say it {n}."},
        "resps": [[reply]], "filtered_resps": [reply], "exact_match": float(right),
    }  # fmt: skip


def inspect(sample: Sample, n: int, right: bool) -> Sample:
    sample["scores"]["match"]["value"] = "C" if right else "I"
    return {**sample, "id": f"w{n}", "input": f"Say it {n}."}


def promptfoo(sample: Sample, n: int, right: bool) -> Sample:
    grade = {**sample["gradingResult"], "pass": right, "score": int(right)}
    return {
        **sample, "id": f"r{n}", "testIdx": n, "vars": {"n": n}, "success": right,
        "score": int(right), "gradingResult": grade,
    }  # fmt: skip


def deepeval(sample: Sample, n: int, right: bool) -> Sample:
    return {**sample, "name": f"w{n}", "input": f"Say it {n}.", "success": right}


def pydantic_evals(sample: Sample, n: int, right: bool) -> Sample:
    sample["assertions"]["EqualsExpected"]["value"] = right
    return {**sample, "name": f"w{n}", "inputs": f"Say it {n}."}


def grown(name: str, key: str, change: Callable[..., Sample], wrong: int) -> str:
    """Return the file *name* with so many samples, all like its first; the first *wrong* fail."""
    text = (DATA / name).read_text("utf-8")
    lines = name.endswith(".jsonl")
    document = None if lines else json.loads(text)
    first = json.loads(text.partition("\n")[0]) if lines else _inner(document, key)[0]
    samples = [change(deepcopy(first), n, n >= wrong) for n in range(CASES)]
    if lines:
        return "".join(f"{json.dumps(sample)}\n" for sample in samples)
    _inner(document, key)[:] = samples
    return json.dumps(document)


def _inner(document: Any, key: str) -> list[Sample]:
    for part in key.split("."):
        document = document[part]
    return document


def figures(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a verdict states in numbers."""
    kept = ("outcome", "checks", "regressed", "fixed", "slices", "notes")
    return {key: verdict[key] for key in kept}


@pytest.mark.parametrize(
    "tool",
    [
        ("lm_eval_words.jsonl", "", lm_eval),
        ("inspect_words.json", "samples", inspect),
        ("promptfoo.json", "results.results", promptfoo),
        ("deepeval.json", "testCases", deepeval),
        ("pydantic_evals.json", "cases", pydantic_evals),
    ],
    ids=["lm-eval", "inspect", "promptfoo", "deepeval", "pydantic-evals"],
)
def test_the_verdict_is_that_of_a_suite_on_the_same_files_to_the_digit(tmp_path, monkeypatch, tool):
    name, key, change = tool
    monkeypatch.chdir(tmp_path)
    suffix = Path(name).suffix
    for file, count in (("base", 2), ("tuned", 9)):
        Path(f"{file}{suffix}").write_text(grown(name, key, change, count), "utf-8")
    compared = compare(f"base{suffix}", f"tuned{suffix}", max_drop=0.14)
    (verdict,) = json.loads(compared.to_json())["verdicts"]
    slices = ", slices: [tag]" if verdict["slices"] else ""
    suite = (
        f"cases: base{suffix}\ncolumns: {{}}\nreply: {{score: recorded}}\n"
        "variants:\n"
        f"  base: {{provider: recorded, replies: base{suffix}, gated: false}}\n"
        f"  tuned: {{provider: recorded, replies: tuned{suffix}}}\n"
        f"gates: {{accuracy: {{max_drop: 0.14{slices}}}}}\n"
    )
    Path("s.ftgate.yaml").write_text(suite, "utf-8")

    run = json.loads(evaluate("s.ftgate.yaml", rootdir=".").to_json())["verdicts"]

    (gated,) = (one for one in run if one["variant"] == "tuned")
    assert (verdict["outcome"], verdict["regressed"]) == ("inconclusive", 7)
    assert figures(gated) == figures(verdict)
