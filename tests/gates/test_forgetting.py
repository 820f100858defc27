"""The forgetting gate: what is lost, what must be shown, and what a reader is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from columns import row, skills_column, suite

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.gates.feasibility import refuse_impossible, runnable
from pytest_ftgate.gates.forgetting import Compared, judge_forgetting
from pytest_ftgate.gates.rates import shared_levels
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.verdict import section
from pytest_ftgate.requests.contamination import Leak
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.model import ForgettingGate

GATE = ForgettingGate(line=9, cases=(), max_drop=0.10)
KEPT = {"facts": (60, 40), "sums": (60, 40), "copying": (60, 40)}


def judged(after: dict[str, tuple[int, int]], *, before=KEPT, wrong="no idea", **keys) -> Verdict:
    gate = replace(GATE, **{k: v for k, v in keys.items() if k not in ("leak", "again", "base")})
    base = keys.get("base") or skills_column("base", before)
    sides = {"": (skills_column("new", after, wrong=wrong), base)}
    compared = Compared(sides, keys.get("again"), keys.get("leak"))
    return judge_forgetting(suite(gate), gate, compared)


def parts(verdict: Verdict, kind: str = "skill"):
    return {one.name: one for one in verdict.slices if one.kind == kind}


def states(verdict: Verdict) -> dict[str, str]:
    return {name: one.state for name, one in parts(verdict).items()}


# The mean and the skills ------------------------------------------------------------------------


def test_kept_skills_pass() -> None:
    verdict = judged(KEPT)

    assert verdict.outcome is Outcome.PASSED
    assert set(states(verdict).values()) == {"kept"}


def test_general_loss_fails_and_names_each_lost_skill_the_worst_first() -> None:
    verdict = judged({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    assert verdict.outcome is Outcome.FAILED
    assert list(parts(verdict)) == ["sums", "facts", "copying"]
    assert verdict.lost == 145
    assert "60 % → 12 %" in verdict.headline


def test_one_lost_skill_fails_though_the_mean_holds() -> None:
    verdict = judged({"facts": (30, 70), "sums": (75, 25), "copying": (75, 25)})

    assert verdict.check.change > -0.01
    assert verdict.outcome is Outcome.FAILED
    assert "but lost: facts" in verdict.headline


def test_a_skill_weighs_the_same_whatever_its_number_of_cases() -> None:
    verdict = judged(
        {"facts": (300, 0), "sums": (15, 15)}, before={"facts": (300, 0), "sums": (30, 0)}
    )

    assert round(verdict.check.after, 2) == 0.75


def test_a_weight_moves_a_skills_share_of_the_mean() -> None:
    lost = {"facts": (30, 70), "sums": (60, 40), "copying": (60, 40)}
    heavy, none = (judged(lost, weights={"facts": w}) for w in (4.0, 0.0))

    assert heavy.check.change == pytest.approx(-0.20)
    assert none.check.change == 0
    assert none.check.n == 200
    # It fails all the same: no weight hides a lost skill.
    assert none.outcome is Outcome.FAILED


def test_a_skill_that_may_be_lost_is_shown_and_judged_by_nothing() -> None:
    lost = {"facts": (0, 100), "sums": (60, 40), "copying": (60, 40)}
    verdict = judged(lost, may_lose=("facts",))

    assert verdict.outcome is Outcome.PASSED
    assert (verdict.check.change, verdict.check.n) == (0, 200)
    assert states(verdict)["facts"] == "lost"
    assert not parts(verdict)["facts"].judged
    assert "lost, may be lost" in section(verdict)


def test_a_skill_with_a_margin_must_itself_be_shown_to_keep_to_it() -> None:
    some = {"facts": (54, 46), "sums": (62, 38), "copying": (62, 38)}

    assert judged(some).outcome is Outcome.PASSED
    for keys in ({"each": 0.10}, {"margins": {"facts": 0.10}}):
        verdict = judged(some, **keys)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "but open: facts" in verdict.headline
        assert "100 cases of facts cannot rule out a loss of 10 points" in " ".join(verdict.next)
    assert judged(some, each=0.20).outcome is Outcome.PASSED
    assert judged(some, each=0.10, margins={"facts": 0.2}).outcome is Outcome.PASSED
    assert judged(some, each=0.10, may_lose=("facts",)).outcome is Outcome.PASSED


def test_a_skill_of_which_next_to_nothing_was_there_is_blind_and_holds_nothing_up() -> None:
    before = {"facts": (60, 40), "sums": (5, 95)}
    verdict = judged({"facts": (60, 40), "sums": (2, 98)}, before=before, each=0.10)

    assert states(verdict) == {"facts": "kept", "sums": "blind"}
    assert verdict.outcome is Outcome.PASSED
    assert "so little of sums that a loss could not be seen" in " ".join(verdict.notes)
    assert "nothing to lose" in section(verdict)


def test_a_base_without_skills_can_lose_none_and_the_gate_is_open() -> None:
    nothing = {"facts": (2, 98), "sums": (0, 100)}

    assert judged(nothing, before=nothing).outcome is Outcome.INCONCLUSIVE


def test_a_small_real_loss_within_its_margin_is_kept() -> None:
    before = {"facts": (3000, 0), "sums": (3000, 0)}
    verdict = judged({"facts": (2940, 60), "sums": (3000, 0)}, before=before)

    assert states(verdict)["facts"] == "kept"
    assert verdict.outcome is Outcome.PASSED


# What must not break ----------------------------------------------------------------------------


def kept_column(variant: str, right: float, *more: float) -> Column:
    """Return facts, all right, the first of which must be kept and has the marks given."""
    rows = [row(f"facts-{i}", 1.0, f"{variant} says", skill="facts") for i in range(100)]
    scores = (right, *more)
    first = rows[0]
    first = replace(
        first,
        case=replace(first.case, must_keep=True),
        replies=first.replies * len(scores),
        scores=tuple(replace(first.scores[0], correct=one) for one in scores),
    )
    return Column(variant, {one.case.id: one for one in (first, *rows[1:])})


def kept_verdict(after: Column, base: Column, again=None) -> Verdict:
    return judge_forgetting(suite(GATE), GATE, Compared({"": (after, base)}, again))


def test_a_must_keep_case_that_breaks_fails_the_gate_alone_and_is_shown_first() -> None:
    verdict = kept_verdict(kept_column("new", 0.0), kept_column("base", 1.0))

    assert verdict.outcome is Outcome.FAILED
    assert verdict.breaks == ("facts-0",)
    assert "must-keep cases broke: facts-0" in verdict.headline
    assert verdict.flips[0].case == "facts-0"
    assert "must be kept" in section(verdict, 1)


def test_a_must_keep_case_that_the_base_has_wrong_cannot_break() -> None:
    assert kept_verdict(kept_column("new", 0.0), kept_column("base", 0.0)).breaks == ()


@pytest.mark.parametrize(
    ("mine", "base", "broke"),
    [
        ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), True),
        ((0.0, 1.0, 1.0), (1.0, 1.0, 1.0), False),
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), False),
    ],
)
def test_one_unlucky_reply_breaks_nothing_where_replies_vary(mine, base, broke) -> None:
    again = (kept_column("new", *mine), kept_column("base", *base))
    verdict = kept_verdict(kept_column("new", 0.0), kept_column("base", 1.0), again)

    assert bool(verdict.breaks) is broke


def test_a_second_asking_without_a_reply_takes_nothing_back() -> None:
    new = kept_column("new", 0.0)
    gone = {k: replace(r, replies=(), scores=()) for k, r in new.rows.items()}
    again = (Column("new", gone), kept_column("base", 1.0))

    assert kept_verdict(new, kept_column("base", 1.0), again).breaks == ("facts-0",)


# What is told -----------------------------------------------------------------------------------


def test_each_skill_tells_its_counts_its_interval_and_what_is_left() -> None:
    facts = parts(judged({"facts": (45, 55), "sums": (60, 40), "copying": (65, 35)}))["facts"]

    assert (facts.before, facts.after, facts.n) == (0.6, 0.45, 100)
    assert (facts.kept, facts.lost, facts.gained) == (45, 15, 0)
    assert facts.low < facts.change < facts.high
    assert facts.retention.share == 0.75
    assert facts.retention.low < 0.75 < facts.retention.high < 1


def test_the_mean_tells_what_is_left_and_the_backward_transfer() -> None:
    lost = {"facts": (30, 70), "sums": (60, 40), "copying": (60, 40)}
    check = judged(lost, may_lose=("facts",)).check

    assert check.retention.share == 1
    assert check.transfer == pytest.approx(-0.1)


def test_no_share_is_told_of_what_was_next_to_nothing() -> None:
    before = {"facts": (60, 40), "sums": (5, 95)}

    assert parts(judged(before, before=before))["sums"].retention is None


def test_losses_are_told_by_difficulty_and_by_language_and_judge_nothing() -> None:
    def leveled(column):
        rows = {
            key: replace(
                r, case=replace(r.case, difficulty=1 + i % 2, language="de" if i % 4 else "en")
            )
            for i, (key, r) in enumerate(column.rows.items())
        }
        return Column(column.variant, rows)

    sides = (leveled(skills_column("new", KEPT)), leveled(skills_column("base", KEPT)))
    verdict = judge_forgetting(suite(GATE), GATE, Compared({"": sides}))

    assert list(parts(verdict, "difficulty")) == ["1", "2"]
    assert list(parts(verdict, "language")) == ["de", "en"]
    assert not any(one.judged for one in verdict.slices if one.kind != "skill")
    assert "by difficulty: 1 60 % → 60 %" in section(verdict)


def test_lost_answers_that_look_like_labels_are_told() -> None:
    after = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}

    (note,) = judged(after, wrong="japan_capital").notes

    assert "145 of 145 lost answers look like this suite's labels" in note
    assert "0 are labels" in note


def test_the_first_lost_cases_are_of_many_skills_the_easiest_of_each() -> None:
    verdict = judged({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    assert {flip.skill for flip in verdict.flips[:3]} == {"facts", "sums", "copying"}
    assert {flip.kind for flip in verdict.flips} == {"wrong content"}


def test_cases_that_were_trained_on_are_left_out_and_counted() -> None:
    seen = frozenset(f"facts-{i}" for i in range(40))
    leak = Leak("new", "t.jsonl", 300, 40, "facts-0", 7, "skills case", seen)
    verdict = judged(KEPT, leak=leak)

    assert parts(verdict)["facts"].n == 60
    assert verdict.check.n == 260
    assert "40 skills cases stand in t.jsonl (line 7: facts-0) and left out" in verdict.notes[0]


def test_a_failed_gate_names_the_remedies() -> None:
    verdict = judged({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    for remedy in ("mix general data", "fewer epochs", "learning rate", "rank", "go back"):
        assert remedy in verdict.next[0]


# Under the prompt -------------------------------------------------------------------------------


def under_prompt(own, prompted) -> Verdict:
    gate = replace(GATE, prompt=True)
    base = skills_column("base", KEPT)
    sides = {
        "": (skills_column("new", own), base),
        "prompt": (skills_column("new", prompted), base),
    }
    return judge_forgetting(suite(gate), gate, Compared(sides))


LOST = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}


def test_skills_kept_alone_and_under_the_prompt_pass() -> None:
    verdict = under_prompt(KEPT, KEPT)

    assert verdict.outcome is Outcome.PASSED
    assert [check.under for check in verdict.checks] == ["", "prompt"]


@pytest.mark.parametrize(("own", "prompted", "under"), [(KEPT, LOST, "prompt"), (LOST, KEPT, "")])
def test_a_loss_under_either_fails_and_the_headline_says_which(own, prompted, under) -> None:
    verdict = under_prompt(own, prompted)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.check.under == under
    assert ("under the prompt" in verdict.headline) is bool(under)
    assert verdict.lost == 145
    assert {one.under for one in verdict.slices} == {"", "prompt"}
    assert "under the prompt of the product:" in section(verdict)


def test_the_prompt_takes_two_more_shares_of_the_alarm() -> None:
    assert shared_levels(suite(GATE)).shared == 2
    assert shared_levels(suite(replace(GATE, prompt=True))).shared == 4


# What could never be shown ----------------------------------------------------------------------


def test_a_margin_that_a_skill_has_too_few_cases_for_is_refused_with_the_numbers() -> None:
    gate = replace(GATE, cases=skill_cases(("general-small",)), each=0.10)

    with pytest.raises(SuiteFaults, match=r"a loss of 0.1 can never be ruled out in .*\(14\)") as e:
        refuse_impossible(suite(gate))
    assert "it takes 25 cases of a skill, or a margin of 0.17" in str(e.value)
    refuse_impossible(suite(replace(gate, each=0.17)))


def test_code_is_left_out_and_said_where_it_cannot_be_shut_in(monkeypatch) -> None:
    whole = suite(replace(GATE, cases=skill_cases(("code_writing", "reading"))))

    assert runnable(whole) is whole
    monkeypatch.setattr("pytest_ftgate.gates.feasibility.can_shut_in", lambda: False)
    gate = runnable(whole).gates["forgetting"]
    assert {case.skill for case in gate.cases} == {"reading"}
    assert gate.left_out.startswith("left out: code_writing, since the code of a model cannot")
