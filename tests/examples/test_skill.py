"""examples/skill: who does literally what SKILL.md says gets a green and then a red build."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from yaml import safe_load

SKILL = Path(__file__).parents[2] / "examples" / "skill" / "pytest-ftgate" / "SKILL.md"
TEXT = SKILL.read_text("utf-8")
#: The longest description of the Agent Skills format.
LONGEST = 1024
#: The product: its model does what the prompt says, as a model that follows instructions would.
APP = """
from pathlib import Path

def answer(ticket):
    for line in Path("tickets.md").read_text("utf-8").splitlines():
        word, _, label = line.partition(" means ")
        if word in ticket:
            return label
    return "login"
"""
PROMPT = "parcel means delivery\nmoney means refund\n"
WORSE = "parcel means delivery\n"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return found


def commands() -> list[list[str]]:
    return [shlex.split(line.removeprefix("$ ")) for line in block("console").splitlines()]


@pytest.fixture
def repository(pytester, monkeypatch) -> Path:
    # The commands are those of the environment that runs the tests.
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    prompts = pytester.mkdir("prompts")
    words = ("parcel", "delivery"), ("money", "refund"), ("password", "login")
    write_rows(
        prompts / "tickets.cases.jsonl",
        (
            {"id": f"{word}-{n}", "input": f"ticket {n}: my {word}", "expected": label}
            for n in range(8)
            for word, label in words
        ),
    )
    (prompts / "tickets.ftgate.yaml").write_text(block("yaml"), "utf-8")
    (prompts / "answer.py").write_text(block("python"), "utf-8")
    (prompts / "app.py").write_text(APP, "utf-8")
    (prompts / "tickets.md").write_text(PROMPT, "utf-8")
    return prompts


def test_the_front_matter_is_that_of_the_format() -> None:
    matter = safe_load(TEXT.split("---\n")[1])

    assert matter.keys() == {"name", "description"}
    assert matter["name"] == SKILL.parent.name
    assert 0 < len(matter["description"]) <= LONGEST


@pytest.mark.heavy
def test_its_commands_lead_to_a_green_build_and_a_worse_prompt_to_a_red_one(
    repository, pytester
) -> None:
    install, *typed = commands()
    assert install == ["pip", "install", "pytest-ftgate"]
    for command in typed:
        green = pytester.run(*command)
        assert green.ret == 0, command
    green.stdout.fnmatch_lines(["PASSED*"])
    assert (repository / "tickets.accepted.json").is_file()

    (repository / "tickets.md").write_text(WORSE, "utf-8")
    red = pytester.run(*typed[2])

    assert red.ret == pytest.ExitCode.TESTS_FAILED
    red.stdout.fnmatch_lines(["BLOCKED*", "*accuracy?current?*DOWN 33 POINTS*"])
