"""docs/how-to/new-engine.md: its screens are those of the replies that its servers gave.

`tests/recorded/new_engine.json` has these replies, where they are not the expected answer: by
variant of the suite, and by server that lm-evaluation-harness asked.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import assert_shows, page
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, tickets

from pytest_ftgate.cli.main import main
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

PAGE = page("how-to/new-engine")
SUITE = "engine.ftgate.yaml"
OTHERS: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads(
    (Path(__file__).parents[1] / "recorded" / "new_engine.json").read_text("utf-8")
)
CASES = tickets("tickets.cases.jsonl")
#: Of the training, as many as the page says.
MORE = [
    {"id": f"more-{number:03}", **row}
    for number, row in enumerate(tickets("tickets.train.jsonl")[::9][:200])
]
#: What a run prints of the replies that it requested itself.
OF_REQUESTS = " requested "


def screens() -> dict[str, str]:
    """Return what the page shows below each command, by the command."""
    return dict(re.findall(r"^```console\n\$ (.*?)\n\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


SCREENS = screens()


def kept_replies(suite: Suite) -> Iterator[dict[str, object]]:
    """Yield the lines of a file of replies to commit, with those of the servers."""
    for variant in suite.variants.values():
        others = OTHERS["suite"][variant.name]
        for one in task_requests(suite, variant, {}):
            text = others.get(one.case.id, one.case.expected)
            yield {
                "fingerprint": one.fingerprint,
                "run": variant.name,
                "at": 0.0,
                "provider": variant.provider,
                "model": variant.model,
                "reply": {"text": text, "stop": "end", "model": variant.model},
            }


@pytest.fixture
def folder(pytester, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, pytester.path)
    write_rows(pytester.path / "tickets.cases.jsonl", CASES)
    write_rows(pytester.path / "more.cases.jsonl", MORE)
    (text,) = re.findall(r"^```yaml\n(prompt: .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (pytester.path / SUITE).write_text(text, "utf-8")
    replies = [*kept_replies(load_suite(pytester.path / SUITE, pytester.path))]
    head = {"about": "replies kept by pytest-ftgate", "format": 1, "suite": SUITE}
    head |= {"replies": len(replies)}
    write_rows(pytester.path / "engine.replies.jsonl", [head, *replies])
    return pytester.path


@pytest.mark.parametrize("command", [one for one in SCREENS if one.startswith("pytest ")])
def test_a_run_of_the_replies_prints_the_screen(folder, pytester, command):
    result = pytester.runpytest_inprocess(*shlex.split(command)[1:])

    shown = (line for line in SCREENS[command].splitlines() if OF_REQUESTS not in line)
    assert_shows(result, "\n".join(shown))


def test_the_texts_that_differ_are_those_of_the_page(folder, pytester, capsys):
    pytester.runpytest_inprocess("--ftgate")
    capsys.readouterr()

    main(["explain", f"{SUITE}::accuracy[llama-q4]"])

    printed = capsys.readouterr().out
    (note,) = re.findall(r"^```\n(  note: .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert note in printed


def test_logs_of_the_same_servers_compare_as_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (command,) = (one for one in SCREENS if one.startswith("pytest-ftgate compare"))
    models = {"vllm": "tickets-v7-f32", "llama-q4": "tickets-v7-q4"}
    for name, model in models.items():
        folder = tmp_path / "logs" / name / model
        folder.mkdir(parents=True)
        write_rows(
            folder / "samples_tickets_2026-11-30T21-50-50.334977.jsonl",
            samples(OTHERS["lm-eval"][name]),
        )

    words = shlex.split(command.replace("/*", "/{}").format(*models.values()))
    code = main(words[1:])

    assert code == 3
    assert capsys.readouterr().out == SCREENS[command]


def samples(others: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Yield the lines that lm-evaluation-harness logs of the page's task."""
    for number, case in enumerate(CASES):
        reply = others.get(case["id"], case["expected"])
        yield {
            "doc_id": number,
            "doc": case,
            "target": case["expected"],
            "resps": [[reply]],
            "filtered_resps": [reply],
            "filter": "none",
            "metrics": ["exact_match"],
            "exact_match": float(reply == case["expected"]),
        }
