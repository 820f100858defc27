"""Logs that lm-evaluation-harness and Inspect write of a local model reach the verdict of the same
questions asked directly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.local_server import EXAMPLE, served

from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.model import Case

#: The folder of the commands ``lm_eval`` and ``inspect``.
HARNESSES = Path(os.environ["HARNESSES"])
#: Enough for a verdict; each is asked six times, one at a time.
QUESTIONS = 24
#: What both verdicts must have in common.
DECIDING = ("outcome", "limit", "n", "before", "after", "low", "high", "regressed", "fixed")

TASK = """\
task: facts
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{input}}"
doc_to_target: "{{expected}}"
process_results: !function holds.score
generation_kwargs: {until: ["<|im_end|>"], max_gen_toks: 8, temperature: 0}
metric_list: [{metric: holds, aggregation: mean, higher_is_better: true}]
"""
HOLDS = """\
def score(doc, results):
    return {"holds": float(doc["expected"].casefold() in results[0].casefold())}
"""
INSPECT = """\
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def facts():
    fields = FieldSpec(id="id", input="input", target="expected")
    return Task(json_dataset("questions.jsonl", fields), solver=generate(), scorer=includes())
"""

ONE = 'cases: [{id: one, input: "My parcel is late.", expected: late_delivery}]\n'
DIRECT = """\
reply: {max_tokens: 8}
variants:
  plain:
    provider: openai-compatible
    model: base
    base_url: BASE_URL
    temperature: 0
    gated: false
  tuned: {like: plain, base_url: TUNED_URL, model: tuned, base: plain, gated: true}
gates: {forgetting: {skills: facts.ftgate.yaml, max_drop: 0.20}}
"""
FACTS = """
cases: questions.jsonl
reply: {score: contains, max_tokens: 8}
variants: {any: {provider: openai-compatible, model: any}}
gates: {accuracy: {min: 0.01}}
"""
LOGGED = """\
variants:
  tuned: {provider: recorded, replies: "TUNED", base_replies: "BASE"}
gates: {forgetting: {skills: {KIND: "BASE"}, max_drop: 0.20}}
"""


def questions() -> Iterator[Case]:
    """Yield questions with one word for an answer, which every harness finds alike."""
    for case in skill_cases(("general",)):
        answer = case.expected
        is_word = isinstance(answer, str) and answer.isalpha() and len(answer) > 3
        is_said = case.score is not None and str(case.score.value).endswith(":says")
        if is_said and is_word and not case.messages:
            yield case


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the questions, and the tasks of both harnesses."""
    folder = tmp_path_factory.mktemp("harnesses")
    rows = [
        {"id": case.id, "input": case.input, "expected": case.expected}
        for case in islice(questions(), QUESTIONS)
    ]
    write_rows(folder / "questions.jsonl", rows)
    (folder / "facts.yaml").write_text(TASK.replace("FOLDER", str(folder)), "utf-8")
    (folder / "holds.py").write_text(HOLDS, "utf-8")
    (folder / "facts.py").write_text(INSPECT, "utf-8")
    (folder / "facts.ftgate.yaml").write_text(FACTS, "utf-8")
    return folder


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Serve the embedded model and its narrow adapter, one request at a time; yield the URLs."""
    servers = {
        "base": served("base", slots=1),
        "tuned": served("tuned", EXAMPLE / "tickets-narrow.gguf", slots=1),
    }
    yield {name: f"{server.listening_address}/v1" for name, server in servers.items()}
    servers.clear()


def run(folder: Path, *command: str, **variables: str) -> None:
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), **variables}
    subprocess.run([HARNESSES / command[0], *command[1:]], cwd=folder, env=environ, check=True)


def lm_eval(folder: Path, name: str, url: str) -> Path:
    """Return the folder of the samples of one model."""
    out = folder / "lm_eval" / name
    arguments = f"model={name},base_url={url}/chat/completions,num_concurrent=1"
    run(
        folder,
        *("lm_eval", "run", "--model", "local-chat-completions", "--model_args", arguments),
        *("--tasks", "facts", "--include_path", str(folder), "--apply_chat_template"),
        *("--output_path", str(out), "--log_samples"),
        OPENAI_API_KEY="none",
    )
    return out


def inspect(folder: Path, name: str, url: str) -> Path:
    """Return the log of one model."""
    out = folder / "inspect" / name
    run(
        folder,
        *("inspect", "eval", "facts.py", "--model", f"openai-api/local/{name}"),
        *("--temperature", "0", "--max-tokens", "8", "--max-connections", "1"),
        *("--log-dir", str(out), "--log-format", "json", "--display", "plain"),
        LOCAL_API_KEY="none",
        LOCAL_BASE_URL=url,
    )
    (log,) = out.glob("*.json")
    return log


def verdict(folder: Path, suite: str, name: str) -> dict[str, object]:
    """Return what decides the verdict of a suite."""
    (folder / f"{name}.ftgate.yaml").write_text(ONE + suite, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate", "--ftgate"]
    subprocess.run(
        [*command, "--ftgate-concurrency=1", f"--ftgate-json={name}.json", f"{name}.ftgate.yaml"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,  # the gate fails
    )
    (found,) = json.loads((folder / f"{name}.json").read_text("utf-8"))["verdicts"]
    (check,) = found["checks"]
    return {"verdict": found["outcome"], **{key: check[key] for key in DECIDING}}


@pytest.fixture(scope="module")
def asked(folder, urls) -> dict[str, object]:
    """What decides the verdict of the questions where the models are asked directly."""
    suite = DIRECT
    for name, url in urls.items():
        suite = suite.replace(f"{name.upper()}_URL", url)
    return verdict(folder, suite, "direct")


@pytest.mark.parametrize(("kind", "harness"), [("lm-eval", lm_eval), ("inspect", inspect)])
def test_the_logs_of_a_harness_reach_the_verdict_of_the_same_questions_asked_directly(
    folder, urls, asked, kind, harness
):
    suite = LOGGED.replace("KIND", kind)
    for name, url in urls.items():
        suite = suite.replace(name.upper(), str(harness(folder, name, url)))

    assert verdict(folder, suite, kind) == asked
    assert asked["verdict"] == "failed"
    assert asked["n"] == QUESTIONS
