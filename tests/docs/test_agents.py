"""docs/agents.md, typed as it stands: its screens are what its commands print."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing import agents_page
from ftgate_testing.pages import page

EXAMPLE, TYPED = agents_page.EXAMPLE, agents_page.TYPED
#: How the commands of the page end: a skill and an agent got worse.
CODES = [0, 0, 1, 0, 1, 0]
#: What the page has at most.
WORDS = 1_300


@pytest.mark.heavy
def test_each_command_prints_what_the_page_shows(tmp_path) -> None:
    # After a change of the words: PYTHONPATH=tests python -m ftgate_testing.agents_page
    agents_page.make_folder(tmp_path)

    shown = {command: text.lstrip("\n") for command, text in TYPED.findall(page("agents"))}
    printed = [*agents_page.printed(tmp_path)]
    assert [code for _, code, _ in printed] == CODES
    assert {command: text for command, _, text in printed if shown[command]} == {
        command: text for command, text in shown.items() if text
    }


def test_the_page_has_the_suite_of_the_example() -> None:
    name = "agent.ftgate.yaml"

    assert agents_page.suites()[name] == (EXAMPLE / name).read_text("utf-8")
    assert agents_page.TAKEN_OUT in (EXAMPLE / "AGENTS.md").read_text("utf-8")
    assert agents_page.TAKEN_OUT.strip() in page("agents")


def test_the_page_is_short() -> None:
    assert sum(any(map(str.isalnum, word)) for word in page("agents").split()) <= WORDS


def test_the_files_of_the_example_are_named_by_the_page_or_by_its_suite() -> None:
    names = {file.name for file in Path(EXAMPLE).iterdir() if file.is_file()}

    assert {name for name in names if name not in page("agents")} == set()
