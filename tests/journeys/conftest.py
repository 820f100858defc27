"""A desk with a suite of support tickets on it, as a user would have written it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest
from ftgate_testing.foreign_plugins import TWICE
from ftgate_testing.notes import texts

from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.results.run import from_json

OURS = [
    f"pytest_ftgate.{module}"
    for module in (
        *("gates.forgetting", "gates.identity", "gates.rates", "gates.training_data"),
        *("gates.usage", "plugin.fixture", "plugin.item", "plugin.marked.collect"),
        *("plugin.selection", "providers.local", "recommend.recommend", "reporting.ladder"),
        *("reporting.plan", "reporting.summary", "reporting.verdict", "reporting.writers"),
        *("results.accepted", "results.run", "runner.identity", "runner.recommend"),
    )
]

# Runs in this process forget what they imported, and NumPy and PyYAML cannot be imported twice.
for name in ("sklearn.metrics", *OURS):
    import_module(name)

LABELS = ("billing", "refund")
GATES = "{accuracy: {min: 0.85, max_drop: 0.05}}"

#: A function that answers rightly and notes each case that it was asked.
ANSWERS = """\
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")

def answer(case):
    with ASKED.open("a") as stream:
        stream.write(case.id + "\\n")
    return case.expected
"""


@dataclass(slots=True)
class Desk:
    """A folder in which suites are written and judged.

    Attributes:
        cases: how many tickets the suite has.
        expected: what is expected of single cases, where it differs.
    """

    pytester: pytest.Pytester
    cases: int = 100
    expected: dict[int, str] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.pytester.path / name

    def label(self, number: int) -> str:
        return self.expected.get(number, LABELS[number % 2])

    def write_cases(self) -> None:
        rows = [
            {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": self.label(n)}
            for n in range(self.cases)
        ]
        self.write_rows("tickets.cases.jsonl", rows)

    def write_rows(self, name: str, rows: list[dict[str, str]]) -> None:
        self.path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")

    def replies(
        self, variant: str, *, wrong: int = 0, said: str | None = None, missing: int = 0
    ) -> None:
        """Write what a variant replies: the first *wrong* wrongly, the last *missing* not."""
        rows = [
            {
                "id": f"t{n:03}",
                "text": LABELS[n % 2] if n >= wrong else said or LABELS[(n + 1) % 2],
            }
            for n in range(self.cases - missing)
        ]
        self.write_rows(f"{variant}.jsonl", rows)

    def suite(self, gates: str = GATES, **wrong: int) -> None:
        """Write a suite with a recorded variant for each name, and how many replies are wrong."""
        for variant, count in wrong.items():
            self.replies(variant, wrong=count)
        self.suite_of(
            {name: f"{{provider: recorded, replies: {name}.jsonl}}" for name in wrong}, gates
        )

    def suite_of(self, variants: dict[str, str], gates: str = GATES) -> None:
        """Write a suite with variants as they stand in YAML."""
        self.write_cases()
        lines = [
            "cases: tickets.cases.jsonl",
            "reply: {format: {choice: [billing, refund]}}",
            "variants:",
            *(f"  {name}: {text}" for name, text in variants.items()),
            f"gates: {gates}",
        ]
        self.path("tickets.ftgate.yaml").write_text("\n".join(lines) + "\n", "utf-8")

    def edit(self, before: str, after: str, name: str = "tickets.ftgate.yaml") -> None:
        """Replace a text in a file, wherever it stands."""
        text = self.path(name).read_text("utf-8")
        assert before in text
        self.path(name).write_text(text.replace(before, after), "utf-8")

    def asking_suite(
        self, code: str = ANSWERS, *, gates: str = GATES, first: str = "", **others: str
    ) -> None:
        """Write a suite whose variant *current* asks a Python function; *first* precedes it."""
        self.path("answers.py").write_text(code, "utf-8")
        variants = {"current": '{provider: python, function: "answers:answer"}', **others}
        order = sorted(variants, key=lambda name: name != first)
        self.suite_of({name: variants[name] for name in order}, gates)

    def asked(self) -> list[str]:
        """Return the ids of the cases that the Python function was asked, each time it was."""
        path = self.path("asked.txt")
        return path.read_text().splitlines() if path.exists() else []

    def marked(self, body: str, mark: str = "max_drop=0.05", *, name: str = "test_marked") -> None:
        """Write a module whose function *body*, with the name test_it, is marked on the suite."""
        head = f'import pytest\n\n@pytest.mark.ftgate("tickets.ftgate.yaml", {mark})\n'
        self.path(f"{name}.py").write_text(head + body, "utf-8")

    def run(self, *args: str) -> pytest.RunResult:
        """Judge the suites of the folder in this process; warnings of ours are errors."""
        options = ("-W", "error", "-W", TWICE)
        wanted = ("--ftgate", f"--junitxml={self.path('junit.xml')}")
        return self.pytester.runpytest_inprocess(*options, *wanted, *args)

    def verdicts(self) -> dict[str, dict[str, object]]:
        """Return the verdicts of the last run by the name of their gate."""
        found = ET.parse(self.path("junit.xml")).iter("testcase")
        return {
            case.get("name", ""): _values(told.get("value", ""))
            for case in found
            for told in case.iter("property")
            if told.get("name") == "ftgate"
        }


def _values(text: str) -> dict[str, object]:
    """Return a verdict as plain values, with its headline and the sentences of its notes."""
    verdict = from_json(Verdict, text)
    sentences = {"headline": headline(verdict), "notes": [*texts(verdict.notes)]}
    return {**json.loads(text), **sentences}


@pytest.fixture
def desk(pytester, monkeypatch):
    # Under a build server pytest prints its short summary in full, and the width is another.
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return Desk(pytester)
