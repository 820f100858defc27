"""What docs/python.md shows works as it stands there, and its table names what a run has."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import page

import pytest_ftgate

PAGE = page("python")
SUITE = """\
cases: cases.jsonl
reply: {format: {choice: [refund, login]}, score: choice}
variants:
  tuned: {provider: mine, model: v1}
gates: {accuracy: {min: 0.8}}
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"t{n}", "input": f"ticket {n}", "expected": "refund"} for n in range(40)]
    write_rows(tmp_path / "cases.jsonl", rows)
    (tmp_path / "tickets.ftgate.yaml").write_text(SUITE)
    return tmp_path


def test_a_model_in_memory_is_gated_as_the_page_shows(desk):
    first, in_memory = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    model = SimpleNamespace(answer=lambda messages: "refund")
    names = {"pytest_ftgate": pytest_ftgate, "model": model}

    exec(in_memory, names)

    run = names["run"]
    assert run.passed
    # The first block reads a suite without a provider of one's own.
    write_rows(desk / "replies.jsonl", ({"id": f"t{n}", "text": "refund"} for n in range(40)))
    text = SUITE.replace("provider: mine, model: v1", "provider: recorded, replies: replies.jsonl")
    (desk / "tickets.ftgate.yaml").write_text(text)
    exec(first, {})


def test_what_the_page_lists_exists(desk):
    run = pytest_ftgate.evaluate(
        "tickets.ftgate.yaml", providers={"mine": Always()}, variants=["tuned"], replies="fresh"
    )
    table = PAGE.partition("## What comes back")[2]
    names = re.findall(r"`(?:run|pytest_ftgate)\.(\w+)", table)

    assert {"passed", "figures", "to_html"} <= {*names}
    for name in names:
        assert hasattr(run, name) or hasattr(pytest_ftgate, name), name
    assert run.figures()["ftgate/accuracy/tuned/after"] == 1.0
    assert run._repr_html_().startswith("<pre>")


class Always(pytest_ftgate.Provider):
    def __init__(self):
        super().__init__((), {})

    async def generate(self, request):
        return pytest_ftgate.Reply(text="refund")
