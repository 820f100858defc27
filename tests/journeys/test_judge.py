"""A judge grades replies: examined first, asked once, and told of apart."""

from __future__ import annotations

import json
import random

import pytest
from ftgate_testing.judge_suites import JUDGE

from pytest_ftgate.cli.main import main

SUITE = """\
cases: cases.jsonl
reply:
  score:
    judge:
      rubric: The reply says please.
      model: {{provider: python, function: "judges_here:{name}", usd_per_1k: 2}}
{more}
variants:
  current: {{provider: recorded, replies: current.jsonl}}
  worse: {{provider: recorded, replies: worse.jsonl}}
gates: {gates}
"""
GATES = "{accuracy: {max_drop: 0.1}}"
COUNT = 100


class Judged:
    """A desk with replies that are polite or not, and a judge that is a function."""

    def __init__(self, desk):
        self.desk, self.draw = desk, random.Random(3)
        desk.path("judges_here.py").write_text(JUDGE, "utf-8")
        self.ids = [f"t{n:03}" for n in range(COUNT)]
        desk.write_rows("cases.jsonl", [{"id": one, "input": f"Ask {one}."} for one in self.ids])
        self.replies = {name: self.said(name, p) for name, p in (("current", 0.9), ("worse", 0.6))}
        for name, texts in self.replies.items():
            desk.write_rows(f"{name}.jsonl", [{"id": k, "text": t} for k, t in texts.items()])

    def said(self, name, polite):
        return {
            one: f"{one} {'please' if self.draw.random() < polite else 'now'}, says {name}"
            for one in self.ids
        }

    def label(self, *names):
        rows = [
            {"case": one, "reply": texts[one], "grade": "good" if "please" in texts[one] else "bad"}
            for one in self.ids
            for texts in (self.replies[name] for name in names)
        ]
        self.desk.write_rows("labels.jsonl", rows)

    def run(self, *args, name="polite", more="", gates=GATES):
        more = "".join(f"      {line}\n" for line in more.split("\n") if line)
        suite = SUITE.format(name=name, more=more, gates=gates)
        self.desk.path("s.ftgate.yaml").write_text(suite, "utf-8")
        return self.desk.run(*args)

    @property
    def asked(self):
        """How often the judge was asked, in all runs so far."""
        path = self.desk.path("judged.txt")
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def judged(desk):
    return Judged(desk)


HUMAN = "human: labels.jsonl"


def test_a_drop_that_the_judge_sees_fails_with_reasons_and_a_second_run_asks_it_nothing(judged):
    judged.label("current", "worse")
    result = judged.run(more=HUMAN)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "accuracy down * points * limit 10: current * % → *",
            "  judge judges_here:polite (python): The reply says please.",
            "    Cohen's kappa * 1.00  (1.00 to 1.00) * 200 * 0.40",
            "*wrong     judges_here:polite says bad: it says: t*now, says worse",
        ]
    )
    assert "judge-relative" not in str(result.stdout)
    first, asked = judged.desk.verdicts(), judged.asked
    judged.run(more=HUMAN)

    # Each reply once, and ten of the bad ones once more, said twice; labels are of these replies.
    assert asked == judged.asked == 2 * COUNT + 10
    assert judged.desk.verdicts() == first


def test_a_judge_that_nobody_examined_is_told_of_with_every_verdict_and_its_cost_apart(judged):
    result = judged.run("-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["accuracy down * limit 10*", "  (judge-relative)", "*not validated: add human: *"]
    )
    result.stdout.fnmatch_lines(["*replies cost: the judge 0.40 USD*"])
    assert all("judge-relative" in " ".join(v["notes"]) for v in judged.desk.verdicts().values())


@pytest.mark.parametrize("name", ["kind", "sometimes"])
def test_one_that_is_not_fit_to_judge_decides_nothing(judged, name):
    if name == "sometimes":
        # Replies without a grade are missing and never wrong.
        result = judged.run(name=name)
        assert judged.desk.verdicts()["accuracy[worse]"]["outcome"] == "inconclusive"
        result.stdout.fnmatch_lines(
            [f"*no grade for * of 100 replies: judges_here:{name} gave no*"]
        )
    judged.label("current", "worse")
    result = judged.run("-v", name=name, more=HUMAN)

    assert {one["outcome"] for one in judged.desk.verdicts().values()} == {"inconclusive"}
    result.stdout.fnmatch_lines(["[?] accuracy*", "*judge not qualified: judges_here:*"])


def test_a_better_judge_settles_what_one_that_is_not_fit_left_open(judged):
    judged.label("current", "worse")
    gates = "{accuracy: {min: 0.4, max_drop: none}}"

    first = judged.run(name="kind", more=HUMAN, gates=gates)
    first.stdout.fnmatch_lines(["    fix     sharpen the rubric, or take a stronger judge"])

    assert (first.ret, judged.run(more=HUMAN, gates=gates).ret) == (1, 0)


def test_a_judge_that_gives_no_grade_is_replaced_since_its_replies_are_cached(judged):
    gates = "{accuracy: {min: 0.4, max_drop: none}}"
    first = judged.run(name="mumbling", gates=gates)
    first.stdout.fnmatch_lines(["    fix     sharpen the rubric, or take a stronger judge"])
    assert "says the same of all" not in first.stdout.str()
    asked = judged.asked

    assert judged.desk.run().ret == first.ret == 1
    assert judged.asked == asked
    assert judged.run(gates=gates).ret == 0


def test_a_judge_is_examined_before_any_variant_is_asked(judged):
    judged.label("current")
    code = judged.desk.path("judges_here.py")
    answers = (
        "def answer(case):\n    Path(__file__).with_name('paid.txt').touch()\n    return 'x'\n"
    )
    code.write_text(f"{JUDGE}\n{answers}\ndef broken(case):\n    raise ValueError('no')\n", "utf-8")
    judged.run("--collect-only", name="broken", more=HUMAN)
    asked = '{provider: python, function: "judges_here:answer"}'
    judged.desk.edit("{provider: recorded, replies: worse.jsonl}", asked, "s.ftgate.yaml")
    result = judged.desk.run()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the judge: 110 of 110 requests got no reply*"])
    assert not judged.desk.path("paid.txt").exists()


def test_the_plan_tells_what_judging_would_take_and_asks_nothing(judged):
    judged.label("current")
    result = judged.run("--ftgate-plan", more=HUMAN)

    result.stdout.fnmatch_lines(["*the judge * 0 * 210 * 0.42*"])
    assert judged.asked == 0


def test_replies_are_written_for_people_unnamed_and_committed_ones_hold_the_grades_too(
    judged, capsys
):
    def typed(*words):
        capsys.readouterr()
        main([*words])
        shown = capsys.readouterr()
        return shown.out + shown.err

    judged.run()
    desk = judged.desk
    before = {name: one["outcome"] for name, one in desk.verdicts().items()}
    told = typed("label", "s.ftgate.yaml", "--judge", "--count", "80")
    rows = [json.loads(line) for line in desk.path("s.labels.jsonl").read_text().splitlines()]

    assert told.splitlines()[:3] == [
        "80 replies written to s.labels.jsonl",
        'for each write "grade": "good" or "bad", by this rubric and without asking the judge:',
        "  The reply says please.",
    ]
    assert {tuple(row) for row in rows} == {("case", "input", "reply", "grade")}
    # Whole cases, so that what people say of both variants can be compared.
    assert len({row["case"] for row in rows}) == 40
    assert "is there already" in typed("label", "s.ftgate.yaml", "--judge")

    assert typed("cache", "export", "s.ftgate.yaml").startswith("200 replies written to s.replies")
    (desk.path(".ftgate") / "cache.sqlite").unlink()
    desk.run("--ftgate-replies=recorded")

    assert {name: one["outcome"] for name, one in desk.verdicts().items()} == before
    assert judged.asked == 2 * COUNT


def test_two_replies_are_compared_in_both_orders(judged):
    judged.run(name="better", more="compare: baseline").assert_outcomes(passed=1, failed=1)

    headline = judged.desk.verdicts()["accuracy[worse]"]["headline"]
    assert headline.startswith("preferred down ")
    assert ", limit 10: current " in headline
