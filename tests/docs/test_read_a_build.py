"""docs/how-to/read-a-build.md: its screens are real, and what it says to do ends the red build."""

from __future__ import annotations

import re
import shlex

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import assert_shows, page

from pytest_ftgate.cli.main import main

PAGE = page("how-to/read-a-build")
FAILED, INCONCLUSIVE = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
LABELS = ("billing", "refund", "login")
SUITE = """\
prompt: tickets.md
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund, login]}}
variants:
  current: {provider: house, model: small}
  candidate: {like: current, prompt: tickets-v2.md}
  draft: {like: current, prompt: tickets-v3.md}
gates:
  accuracy: {max_drop: 0.05}
"""
PROMPTS = {
    "tickets": "Sort the ticket.\nAnswer with one label.\n",
    "tickets-v2": "You are friendly.\nSort the ticket.\nAnswer with a label.\n",
    "tickets-v3": "Sort the ticket.\nAnswer with one label and nothing else.\n",
}
#: A model that a friendly prompt makes chatty and forgetful, and another one careless now and then.
HOUSE = """\
import re

from pytest_ftgate import Provider, Reply


class House(Provider):
    async def generate(self, request):
        prompt, question = request.messages[0][1], request.messages[-1][1]
        number, label = re.fullmatch(r"Ticket (\\d+): about (\\w+)", question).groups()
        n = int(number)
        if n in (3, 6, 9, 12, 15):
            label = "login"
        elif "friendly" in prompt and label == "refund" and n < 100:
            label = "billing" if n % 2 else "Gladly! refund"
        elif "nothing else" in prompt and n in (20, 50, 80):
            label = "billing"
        return Reply(text=label)


def pytest_ftgate_providers():
    return {"house": House}
"""


@pytest.fixture
def desk(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in PROMPTS.items():
        (pytester.path / f"{name}.md").write_text(text, "utf-8")
    (pytester.path / "conftest.py").write_text(HOUSE, "utf-8")
    (pytester.path / "tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    return pytester


def write_cases(desk, count: int) -> None:
    cases = [
        {"id": f"t{n:03}", "input": f"Ticket {n}: about {label}", "expected": label}
        for n, label in ((n, LABELS[n % 3]) for n in range(count))
    ]
    write_rows(desk.path / "tickets.cases.jsonl", cases)


def run(desk, variant: str, *arguments: str) -> pytest.RunResult:
    chosen = (f"--ftgate-variant={name}" for name in ("current", variant))
    return desk.runpytest_inprocess("--ftgate", *chosen, *arguments)


def edit(desk, before: str, after: str) -> None:
    path = desk.path / "tickets.ftgate.yaml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def step(screen: str, label: str, pattern: str) -> tuple[str, ...]:
    """Return the groups of *pattern* in the rows of *screen* that *label* begins."""
    rows = re.findall(rf"^    {label}\b.*(?:\n {{9,}}.*)*", screen, re.MULTILINE)
    return next(found.groups() for row in rows if (found := re.search(pattern, row)))


@pytest.fixture
def failed(desk):
    write_cases(desk, 300)
    assert_shows(run(desk, "candidate"), FAILED, consecutive=True)
    return desk


@pytest.fixture
def inconclusive(desk):
    write_cases(desk, 100)
    house = HOUSE.replace("(3, 6, 9, 12, 15)", "(3, 6)")
    (desk.path / "conftest.py").write_text(house, "utf-8")
    assert_shows(run(desk, "draft"), INCONCLUSIVE, consecutive=True)
    return desk


def test_every_row_of_the_screens_is_explained():
    shown = re.findall(r"^    (\w+\??)  ", FAILED + INCONCLUSIVE, re.MULTILINE)

    assert [*dict.fromkeys(shown)] == ["where", "why?", "fix", "or", "accept", "see"]
    assert {*re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)} == {*shown, "e.g."}


def test_the_commands_of_the_failed_build_show_all_cases_and_explain_it(failed, capsys):
    (command,) = step(FAILED, "fix", r"(pytest --ftgate .*)")
    (explain,) = re.findall(r"`(pytest-ftgate explain .*?)`", PAGE)

    result = failed.runpytest_inprocess(*shlex.split(command)[1:])
    capsys.readouterr()

    assert len({*re.findall(r"^    (t\d{3})  Ticket", result.stdout.str(), re.MULTILINE)}) == 33
    assert main(shlex.split(explain)[1:]) == 0
    assert "surely enough to fail the gate" in capsys.readouterr().out


def test_the_option_and_the_limit_that_is_accepted_let_it_pass(inconclusive):
    (option,) = re.findall(r"^`(--ftgate-inconclusive=\w+)` shows", PAGE, re.MULTILINE)
    (limit,) = step(INCONCLUSIVE, "accept", r"accept  (\S+ \S+)   tickets.ftgate.yaml:9")
    assert option in INCONCLUSIVE
    assert run(inconclusive, "draft", option).ret == 0

    edit(inconclusive, "max_drop: 0.05", limit)

    assert run(inconclusive, "draft").ret == 0
