"""docs/how-to/new-base.md: its suite, its decisions, and the columns of its screens."""

from __future__ import annotations

import json
import re

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import page
from ftgate_testing.tables import heavy

PAGE = page("how-to/new-base")
(SUITE,) = re.findall(r"```yaml\n(# rebase\.ftgate\.yaml\n.*?)```", PAGE, re.DOTALL)
LABELS = re.findall(r"\w+", SUITE.partition("choice: [")[2].partition("]")[0])
#: What stands for the weights: right replies by model, adapter and examples; general skills.
CONFTEST = """\
import json
from pathlib import Path

from pytest_ftgate import Provider, Reply

RIGHT = json.loads(Path(__file__).with_name("right.json").read_text("utf-8"))
LABELS = RIGHT["labels"]
GENERAL = {"smollm2-135m": 30, "new-base.gguf": 45}


class House(Provider):
    async def generate(self, request):
        kind, number = request.messages[-1][1].split()
        model, adapter = Path(request.model).name, request.adapter
        if kind == "General":
            return Reply(text="yes" if int(number) < GENERAL[model] else f"no, {adapter is None}")
        shown = " and examples" * (len(request.messages) > 2)
        is_right = int(number) < RIGHT[adapter.path.name if adapter else model + shown]
        return Reply(text=LABELS[(int(number) + (not is_right)) % len(LABELS)])


def pytest_ftgate_providers():
    return {"house": House}
"""
#: Right replies to a hundred cases: the new base alone will not do, and a new tune does.
RIGHT = {
    "smollm2-135m": 0,
    "tickets-replay.gguf": 93,
    "new-base.gguf": 40,
    "new-base.gguf and examples": 70,
    "tickets-rebased.gguf": 94,
}
#: The questions of the general skills.
GENERAL = """\
cases: g.jsonl
variants: {x: {provider: house, model: m}}
gates: {accuracy: {}}
"""


def cases(kind: str, count: int, start: int = 0):
    for number in range(start, start + count):
        expected = LABELS[number % len(LABELS)] if kind == "Ticket" else "yes"
        yield {"id": f"c{number}", "input": f"{kind} {number}", "expected": expected}


def run(pytester, *options: str, **right: int) -> str:
    """Run the page's suite with a provider in place of the weights, and return what it prints."""
    suite = SUITE.replace("llamacpp", "house").replace("general-small", "g.ftgate.yaml")
    files = {
        "rebase.ftgate.yaml": suite,
        "g.ftgate.yaml": GENERAL,
        "conftest.py": CONFTEST,
        "right.json": json.dumps({"labels": LABELS, **RIGHT, **right}),
    }
    for name in ("tickets.md", "tickets.short.md", *re.findall(r"[\w.-]+\.gguf", SUITE)):
        files[name] = f"GGUF {name}"
    for name, text in files.items():
        (pytester.path / name).write_text(text, "utf-8")
    write_rows(pytester.path / "tickets.cases.jsonl", cases("Ticket", 100))
    write_rows(pytester.path / "tickets.train.jsonl", cases("Ticket", 500, 100))
    write_rows(pytester.path / "g.jsonl", cases("General", 60))
    (command,) = re.findall(r"^\$ pytest (--ftgate .*)$", PAGE, re.MULTILINE)
    return str(pytester.runpytest_inprocess(*command.split(), *options).stdout)


def recommendation(printed: str) -> str:
    found = re.search(r"^  ((?:KEEP|FINE|ROLL)\b.*)$", printed, re.MULTILINE)
    assert found, printed
    return found[1]


def decisions() -> dict[str, str]:
    """Return what the page decides, by what the recommendation begins with or ends with."""
    table = PAGE.partition("| the recommendation |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(.*?)`.*? \| \*\*(.*?)\*\*", table, re.MULTILINE))


@pytest.mark.parametrize(
    ("right", "decision"),
    [
        ({}, "the new tune"),
        ({"new-base.gguf and examples": 94}, "drop the tune"),
        heavy({"new-base.gguf and examples": 94, "tickets-rebased.gguf": 60}, "drop the tune"),
        heavy({"tickets-rebased.gguf": 60}, "stay"),
    ],
)
def test_the_recommendation_of_the_run_is_the_decision_of_the_page(pytester, right, decision):
    told = recommendation(run(pytester, **right))

    (found,) = {
        decided
        for pattern, decided in decisions().items()
        if re.search(re.escape(pattern).replace("…", ".*"), told)
    }
    assert found == decision


def test_forgetting_names_the_base_of_each_tune_and_the_table_has_the_change_from_the_old_tune(
    pytester, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "100")

    printed = run(pytester, "--ftgate-json=run.json")

    assert re.search(r"new-base +accuracy +93 % +40 % +down 53 \(", printed)
    verdicts = json.loads((pytester.path / "run.json").read_text("utf-8"))["verdicts"]
    bases = {one["variant"]: one["checks"][0] for one in verdicts if one["gate"] == "forgetting"}
    told = {variant: (check["against"], check["before"]) for variant, check in bases.items()}
    assert told == {
        "old-tune": ("base smollm2-135m", 0.5),
        "new-tune": ("base new-base.gguf", 0.75),
    }
