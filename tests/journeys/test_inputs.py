"""Inputs without an expected answer: only the replies that differ are labelled."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from ftgate_testing.inputs import Right, every, label_lines, pair_labels, replied

from pytest_ftgate.gates.labelled import InputReplies
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import CheckKind
from pytest_ftgate.reporting.next_steps import step_command
from pytest_ftgate.results.run import node_name, read_run
from pytest_ftgate.suite.loader import load_suite

SUITE, RUN = "tickets.ftgate.yaml", "run.json"


class Shop:
    """A desk that also has inputs, to the first of which *new* replies otherwise."""

    def __init__(self, desk, *, cases: int = 60, inputs: int = 1_000, differ: int = 60) -> None:
        self.desk, self.differ, self.inputs = desk, differ, inputs
        desk.cases = cases
        desk.suite("{accuracy: {max_drop: 0.03}}", current=1, new=1)
        asked = [{"id": f"p{n}", "input": f"Production {n}"} for n in range(inputs)]
        desk.write_rows("production.jsonl", asked)
        for variant in ("current", "new"):
            rows = [{"id": f"p{n}", "text": self.text(variant, n)} for n in range(inputs)]
            with desk.path(f"{variant}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(row)}\n" for row in rows)
        desk.edit("reply:", "inputs: production.jsonl\nreply:")

    def text(self, variant: str, number: int) -> str:
        return "refund" if variant == "new" and number < self.differ else "billing"

    def label(self, count: int, right: Right) -> None:
        """Label the next *count* inputs of the draw."""
        inputs = load_suite(self.desk.path(SUITE), self.desk.path(".")).inputs
        sides = (
            replied(name, inputs.cases, lambda n, name=name: self.text(name, n))
            for name in ("current", "new")
        )
        labels = pair_labels(InputReplies(inputs, *sides), count, right)
        with self.desk.path("tickets.pairs.jsonl").open("a", encoding="utf-8") as file:
            file.write(label_lines(labels))

    def run(self, *args: str):
        return self.desk.run(f"--ftgate-json={RUN}", *args)

    def verdict(self):
        found = read_run(self.desk.path(RUN)).verdicts
        return next(verdict for verdict in found if node_name(verdict) == "accuracy[new]")


@pytest.fixture
def shop(desk):
    return Shop(desk)


def lines(*texts: str) -> Sequence[str]:
    return [f"*{text.replace('[', '[[]')}*" for text in texts]


def test_labels_of_what_differs_lead_from_an_open_gate_to_a_passed_one(shop):
    opened = shop.run()
    opened.stdout.fnmatch_lines(
        lines(
            "? accuracy[new]   DOWN * POINTS AT MOST*limit 3",
            "    0 of 60 differing inputs labelled, 940 of 1,000 equal, 60 cases",
            "    fix     label 12 inputs that differ",
            "              pytest-ftgate label tickets.ftgate.yaml",
        )
    )
    (step,) = (one for one in shop.verdict().next if one.kind is StepKind.LABEL)
    assert step_command(step) == "pytest-ftgate label tickets.ftgate.yaml"

    shop.label(step.values["n"], every("both", "neither", "current", "new"))
    assert shop.run().ret == 1
    shop.label(step.values["last"], every("both", "neither", "old", "new"))
    passed = shop.run("-v")

    assert passed.ret == 0
    check = shop.verdict().check
    assert check.inputs.labelled < 60
    assert (check.inputs.inputs, check.inputs.cases, check.n) == (1_000, 60, 1_060)
    assert (check.before, check.after) == pytest.approx((59 / 60, 59 / 60))
    passed.stdout.fnmatch_lines(lines("PASSED  2 gates*new up 0.5 points (limit 3)"))


def test_a_worse_variant_fails_by_labels_though_its_cases_are_as_right_as_before(shop):
    shop.label(60, every("old", "old", "old", "old", "old", "both"))
    failed = shop.run("--ftgate-markdown=run.md", "--ftgate-html=run.html")

    assert failed.ret == 1
    failed.stdout.fnmatch_lines(lines("x accuracy[new]   DOWN *".replace("x ", "* ")))
    verdict = shop.verdict()
    assert (str(verdict.outcome), verdict.regressed) == ("failed", 0)
    labelled = "60 differing inputs labelled"
    for face in ("run.md", "run.html", "junit.xml"):
        text = shop.desk.path(face).read_text("utf-8")
        assert labelled in text, face
        assert "98 % →" not in text, face


def test_nothing_differs_and_the_gate_is_unchanged_on_all_inputs(desk):
    result = Shop(desk, differ=0).run("-v")

    assert result.ret == 0
    result.stdout.fnmatch_lines(lines("new unchanged on 1,000 inputs (limit 3)"))


def test_hard_cases_are_a_part_that_easy_inputs_do_not_hide(desk):
    shop = Shop(desk, cases=100, differ=0)
    rows = [json.loads(line) for line in desk.path("new.jsonl").read_text("utf-8").splitlines()]
    for row in rows[:25]:
        row["text"] = "refund" if row["text"] == "billing" else "billing"
    desk.write_rows("new.jsonl", rows)

    assert shop.run().ret == 1
    (part,) = shop.verdict().slices
    assert (part.name, part.state, part.n) == ("labelled cases", "regressed", 100)


def test_an_accepted_record_is_held_to_what_the_labelled_cases_can_show(desk):
    shop = Shop(desk, cases=85)
    shop.label(60, every("both"))
    shop.run("--ftgate-accept")
    asked = [{"id": f"p{n}", "input": f"Production {n}"} for n in range(500, 1_000)]
    shop.desk.write_rows("production.jsonl", asked)
    fresh = shop.run()

    checks = {check.kind: check for check in shop.verdict().checks}
    assert checks[CheckKind.BASELINE].limit == 0.03
    assert CheckKind.ACCEPTED in checks
    assert 0.03 < checks[CheckKind.ACCEPTED].limit <= 0.15
    assert "less is tested" not in fresh.stdout.str()


def test_the_plan_says_how_many_labels_a_gate_takes(shop):
    planned = shop.desk.run("--ftgate-plan")

    text = " ".join(planned.stdout.str().split())
    wanted = "accuracy[new]: 60 of 1,000 inputs differ by the replies so far: 26 labels pass an"
    assert f"{wanted} unchanged variant 9 times in 10" in text
