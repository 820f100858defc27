from columns import skills_column, suite

from pytest_ftgate.gate.forgetting import judge_forgetting
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.suite.margins import ForgettingGate

GATE = ForgettingGate(line=9, cases=(), max_drop=0.10)
KEPT = {"facts": (60, 40), "sums": (60, 40), "copying": (60, 40)}


def judged(after: dict[str, tuple[int, int]], *, wrong: str = "no idea") -> Verdict:
    base = skills_column("base", KEPT)
    return judge_forgetting(suite(GATE), GATE, skills_column("new", after, wrong=wrong), base)


def test_kept_skills_pass() -> None:
    verdict = judged(KEPT)

    assert verdict.outcome is Outcome.PASSED
    assert {change.state for change in verdict.slices} == {"kept"}


def test_general_loss_fails_and_names_each_lost_skill_the_worst_first() -> None:
    verdict = judged({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    assert verdict.outcome is Outcome.FAILED
    assert [change.name for change in verdict.slices] == ["sums", "facts", "copying"]
    assert verdict.lost == 145
    assert "60 % → 12 %" in verdict.headline


def test_one_lost_skill_fails_though_the_mean_holds() -> None:
    verdict = judged({"facts": (30, 70), "sums": (75, 25), "copying": (75, 25)})

    assert verdict.check.change > -0.01
    assert verdict.outcome is Outcome.FAILED
    assert "but lost: facts" in verdict.headline


def test_a_skill_weighs_the_same_whatever_its_number_of_cases() -> None:
    base = skills_column("base", {"facts": (300, 0), "sums": (30, 0)})
    after = skills_column("new", {"facts": (300, 0), "sums": (15, 15)})

    verdict = judge_forgetting(suite(GATE), GATE, after, base)

    assert round(verdict.check.after, 2) == 0.75


def test_lost_answers_that_look_like_labels_are_told() -> None:
    after = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}

    (note,) = judged(after, wrong="japan_capital").notes

    assert "145 of 145 lost answers look like this suite's labels" in note
    assert "0 are labels" in note


def test_a_base_without_skills_can_lose_none_and_the_gate_is_open() -> None:
    nothing = {"facts": (2, 98), "sums": (0, 100)}
    base, after = skills_column("base", nothing), skills_column("new", nothing)

    verdict = judge_forgetting(suite(GATE), GATE, after, base)

    assert verdict.outcome is Outcome.INCONCLUSIVE
