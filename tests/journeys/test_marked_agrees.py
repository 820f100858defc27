"""A marked function that scores as its suite does has the verdict of the suite's accuracy gate."""

from __future__ import annotations

import pytest

#: Answers rightly, but for the first tickets: as many as the name of the model says.
HOUSE = """\
from pytest_ftgate import Provider, Reply

LABELS = ("billing", "refund")

class House(Provider):
    async def generate(self, request):
        number = int(request.messages[-1][1].split()[1].strip(":"))
        wrong = int(request.model.rpartition(" ")[2])
        return Reply(text=LABELS[(number + (number < wrong)) % 2], model=request.model)

def pytest_ftgate_providers():
    return {"house": House}
"""
#: Scores by the rule of the case, which is that of the suite.
SCORES = """\
def test_it(case, reply):
    from pathlib import Path
    from pytest_ftgate.scoring.scorers import score_content

    return score_content(case, reply, Path()).value
"""
#: What names the gate and the place where it is declared.
NAMES = ("node", "gate", "suite", "line", "headline")
#: What only the gate of a suite file reports, once for each variant.
OF_SUITES = ("drifts",)


@pytest.fixture
def agreed(desk):
    """Return the verdicts of a suite and of a function that scores alike, on the same replies."""

    def run(*, wrong, cases, limits):
        desk.cases = cases
        desk.path("conftest.py").write_text(HOUSE, "utf-8")
        models = {"current": "wrong 2", "new": f"wrong {wrong}"}
        variants = {name: f"{{provider: house, model: {one}}}" for name, one in models.items()}
        desk.suite_of(variants, f"{{accuracy: {{{limits}}}}}")
        path = desk.path("tickets.ftgate.yaml")
        scored = path.read_text("utf-8").replace(
            "{format: {choice: [billing, refund]}}", "{score: exact}"
        )
        path.write_text(scored, "utf-8")
        desk.marked(SCORES, limits.replace(": none", '="none"').replace(": ", "="))
        desk.run()
        return desk.verdicts()

    return run


def same_part(verdict):
    """Return what does not depend on who scored: no names, and no words of the function."""
    kept = {key: value for key, value in verdict.items() if key not in (*NAMES, *OF_SUITES)}
    values = {**verdict["statement"]["values"], "measure": "", "function": ""}
    return {
        **kept,
        "statement": {**verdict["statement"], "values": values},
        "flips": [{**flip, "wrong": ""} for flip in verdict.get("flips", [])],
        "next": [(step["kind"], same_values(step.get("values", {}))) for step in verdict["next"]],
    }


def same_values(values):
    """Return the values of a step; its setting stands in a mark in place of a suite file."""
    _, _, value = str(values.get("setting", "")).replace("=", ": ").partition(": ")
    return {**values, "node": "", "where": "", "setting": value}


@pytest.mark.parametrize(
    ("outcome", "given"),
    [
        ("failed", {"wrong": 30, "cases": 100, "limits": "max_drop: 0.05"}),
        ("inconclusive", {"wrong": 10, "cases": 100, "limits": "max_drop: 0.1"}),
        ("passed", {"wrong": 15, "cases": 100, "limits": "min: 0.7, max_drop: none"}),
        ("inconclusive", {"wrong": 4, "cases": 40, "limits": "min: 0.9, max_drop: 0.2"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["limits"],
)
def test_a_function_with_the_scorer_of_its_suite_has_the_verdict_of_the_accuracy_gate(
    agreed, outcome, given
):
    found = agreed(**given)

    assert found["accuracy[new]"]["outcome"] == outcome
    for name in ("current", "new"):
        of_suite, of_function = found[f"accuracy[{name}]"], found[f"test_it[{name}]"]
        assert same_part(of_function) == same_part(of_suite)
    assert found["test_it[new]"]["checks"]
