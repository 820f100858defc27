"""The forgetting gate: its mean, required margins, and the text of its verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.notes import texts
from ftgate_testing.score_columns import case_result, skill_scores, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import shared_levels
from pytest_ftgate.gates.feasibility import exclude_unrunnable_skills
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.gates.notes import Cause, NoteKind, note, text_note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import CheckKind, LossKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.skills import skill_results_by_prompt, skill_table
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.requests.preflight import Contamination
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.skill_levels import LevelChoice

GATE = ForgettingGate(line=9, cases=(), max_drop=0.10)
KEPT = {"facts": (60, 40), "sums": (60, 40), "copying": (60, 40)}


def evaluate(after: dict[str, tuple[int, int]], *, before=KEPT, wrong="no idea", **keys) -> Verdict:
    gate = replace(
        GATE, **{k: v for k, v in keys.items() if k not in ("contamination", "repeated", "base")}
    )
    base = keys.get("base") or skill_scores("base", before)
    scores = {"": (skill_scores("new", after, wrong=wrong), base)}
    comparison = SkillComparison(scores, keys.get("repeated"), keys.get("contamination"))
    return evaluate_forgetting(suite(gate), gate, comparison)


def parts(verdict: Verdict, kind: str = "skill"):
    return {part.name: part for part in verdict.slices if part.kind == kind}


def states(verdict: Verdict) -> dict[str, str]:
    return {name: part.state for name, part in parts(verdict).items()}


# The mean ---------------------------------------------------------------------------------------


def test_kept_skills_pass_and_one_with_a_margin_that_regressed_fails_alone() -> None:
    verdict = evaluate(KEPT)

    assert verdict.outcome is Outcome.PASSED
    assert set(states(verdict).values()) == {"untested"}

    after = {"facts": (30, 70), "sums": (75, 25), "copying": (75, 25)}
    verdict = evaluate(after, margins={"facts": 0.10})

    assert verdict.check.change > -0.01
    assert verdict.outcome is Outcome.FAILED
    assert "but regressed: facts 60 → 30 %" in headline(verdict)


def test_each_skill_weighs_the_same_or_as_much_as_the_gate_says() -> None:
    verdict = evaluate(
        {"facts": (300, 0), "sums": (15, 15)}, before={"facts": (300, 0), "sums": (30, 0)}
    )

    assert round(verdict.check.after, 2) == 0.75

    lost = {"facts": (30, 70), "sums": (60, 40), "copying": (60, 40)}
    heavy, none = (evaluate(lost, weights={"facts": w}, each=0.1) for w in (4.0, 0.0))

    assert heavy.check.change == pytest.approx(-0.20)
    assert none.check.change == 0
    assert none.check.n == 200
    # It still fails: no weight hides a regressed skill.
    assert none.outcome is Outcome.FAILED


def test_a_skill_that_may_be_lost_is_reported_and_neither_evaluated_nor_counted() -> None:
    lost = {"facts": (0, 100), "sums": (60, 40), "copying": (60, 40)}
    verdict = evaluate(lost, may_lose=("facts",))

    assert verdict.outcome is Outcome.PASSED
    assert (verdict.check.change, verdict.check.n) == (0, 200)
    assert states(verdict)["facts"] == "allowed"
    assert not parts(verdict)["facts"].gated
    assert "facts" not in headline(verdict)
    (results,) = skill_results_by_prompt(verdict)
    (row,) = (row for row in skill_table(results).rows if row[0] == "facts")
    assert (row[1:3], row[-1]) == (["60 %", "0 %"], "may be lost")

    lost = {"facts": (0, 100), "sums": (50, 50), "copying": (60, 40)}

    assert evaluate(lost).regressed == 70
    assert evaluate(lost, may_lose=("facts",)).regressed == 10


def test_a_skill_with_a_margin_must_itself_be_shown_to_keep_to_it() -> None:
    some = {"facts": (54, 46), "sums": (62, 38), "copying": (62, 38)}

    assert evaluate(some).outcome is Outcome.PASSED
    for keys in ({"each": 0.10}, {"margins": {"facts": 0.10}}):
        verdict = evaluate(some, **keys)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert states(verdict)["facts"] == "inconclusive"
        (step,) = (one for one in verdict.next if one.kind is StepKind.SETTLE_SKILL)
        assert (step.values["skill"], step.values["n"], step.values["margin"]) == (
            *("facts", 100, 0.10),
        )
    assert evaluate(some, each=0.20).outcome is Outcome.PASSED
    assert evaluate(some, each=0.10, margins={"facts": 0.2}).outcome is Outcome.PASSED
    assert evaluate(some, each=0.10, may_lose=("facts",)).outcome is Outcome.PASSED


def test_weak_skills_of_the_base_are_named_and_alone_leave_the_gate_open() -> None:
    before = {"facts": (60, 40), "sums": (5, 95)}
    verdict = evaluate({"facts": (60, 40), "sums": (2, 98)}, before=before, each=0.10)

    assert states(verdict) == {"facts": "kept", "sums": "uninformative"}
    assert verdict.outcome is Outcome.PASSED
    assert verdict.notes == (note(NoteKind.WEAK_BASE, skills=("sums",)),)
    assert "nothing to lose" in verdict_section(verdict)

    weak = {"facts": (60, 40), "sums": (5, 95), "copying": (3, 97)}

    told = note(NoteKind.WEAK_BASE, skills=("sums", "copying"))
    assert evaluate(weak, before=weak).notes == (told,)

    nothing = {"facts": (2, 98), "sums": (0, 100)}

    assert evaluate(nothing, before=nothing).outcome is Outcome.INCONCLUSIVE


# The text of the verdict ------------------------------------------------------------------------


def test_skills_and_their_mean_have_their_counts_intervals_and_retention() -> None:
    facts = parts(evaluate({"facts": (45, 55), "sums": (60, 40), "copying": (65, 35)}))["facts"]

    assert (facts.before, facts.after, facts.n) == (0.6, 0.45, 100)
    assert (facts.kept, facts.regressed, facts.fixed) == (45, 15, 0)
    assert facts.low < facts.change < facts.high
    assert facts.retention.share == 0.75
    assert facts.retention.low < 0.75 < facts.retention.high < 1

    lost = {"facts": (30, 70), "sums": (60, 40), "copying": (60, 40)}
    check = evaluate(lost, may_lose=("facts",)).check

    assert check.retention.share == 1
    assert check.transfer == pytest.approx(-0.1)


def test_slices_by_difficulty_and_by_language_are_reported_and_not_gated() -> None:
    def leveled(scores):
        rows = {
            key: replace(
                r, case=replace(r.case, difficulty=1 + i % 2, language="de" if i % 4 else "en")
            )
            for i, (key, r) in enumerate(scores.results.items())
        }
        return VariantScores(scores.variant, rows)

    both = (leveled(skill_scores("new", KEPT)), leveled(skill_scores("base", KEPT)))
    verdict = evaluate_forgetting(suite(GATE), GATE, SkillComparison({"": both}))

    assert list(parts(verdict, "difficulty")) == ["1", "2"]
    assert list(parts(verdict, "language")) == ["de", "en"]
    assert not any(part.gated for part in verdict.slices)
    (results,) = skill_results_by_prompt(verdict)
    assert ("by difficulty", ("1: 60 → 60 %", "2: 60 → 60 %")) in results.details


SMALL_DROP = note(NoteKind.SMALL_DROP)


def lost_answers(*texts: str, labels: bool = True) -> Verdict:
    """Return the verdict on a variant whose wrong answers are *texts*, of a base without any."""
    base = skill_scores("base", {"facts": (200, 0)})
    rows = dict(base.results)
    for number, text in enumerate(texts):
        name = f"facts-{number}"
        rows[name] = case_result(name, 0.0, text, skill="facts")
    scores = {"": (VariantScores("new", rows), base)}
    made = suite(GATE)
    if not labels:
        made = replace(made, reply=replace(made.reply, format=(Rule("json_schema", {}),)))
    return evaluate_forgetting(made, GATE, SkillComparison(scores))


@every_row(
    ("said", "labels", "told"),
    [
        (
            ["refund", "late_delivery", "my_label", *["so"] * 9],
            True,
            [SMALL_DROP, note(NoteKind.LIKE_LABELS, n=3, of=12, labels=2)],
        ),
        (["refund", "late_delivery", "my_label", *["so"] * 10], True, [SMALL_DROP]),
        (["{}", *["so"] * 3], False, [note(NoteKind.LIKE_REPLIES, n=1, of=4)]),
    ],
)
def test_labels_among_the_regressed_answers_are_counted_from_a_quarter_on(
    said, labels, told
) -> None:
    assert [*lost_answers(*said, labels=labels).notes] == told


def test_a_case_without_a_reply_is_no_regressed_answer_and_labels_among_them_are_told() -> None:
    verdict = lost_answers("refund")

    assert (verdict.regressed, verdict.fixed) == (1, 0)
    assert [flip.case for flip in verdict.flips] == ["facts-0"]

    after = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}

    told = note(NoteKind.LIKE_LABELS, n=145, of=145, labels=0)
    assert evaluate(after, wrong="japan_capital").notes[-1:] == (told,)


def test_easy_cases_and_broken_ones_that_must_be_kept_are_shown_first() -> None:
    levels = {"facts": (3, 1, None, 2), "sums": (2, 5, 1, 4)}
    base = skill_scores("base", {"facts": (4, 0), "sums": (4, 0)})
    new = skill_scores("new", {"facts": (0, 4), "sums": (0, 4)})
    sides = []
    for side in (new, base):
        rows = {}
        for name, row in side.results.items():
            skill, _, number = name.partition("-")
            case = replace(
                row.case, difficulty=levels[skill][int(number)], must_keep=name == "sums-1"
            )
            rows[name] = replace(row, case=case)
        sides.append(VariantScores(side.variant, rows))

    verdict = evaluate_forgetting(suite(GATE), GATE, SkillComparison({"": (sides[0], sides[1])}))

    assert [flip.case for flip in verdict.flips] == [
        *("sums-1", "facts-1", "sums-2", "facts-3", "sums-0"),
        *("facts-0", "sums-3", "facts-2"),
    ]


def test_flips_have_kinds_of_loss_only_where_a_reply_regressed_and_begin_with_many_skills() -> None:
    verdict = evaluate({"facts": (61, 39), "sums": (59, 41), "copying": (60, 40)})

    assert [(flip.case, flip.kind) for flip in verdict.flips] == [
        ("sums-59", "wrong content"),
        ("facts-60", ""),
    ]

    verdict = evaluate({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    assert {flip.skill for flip in verdict.flips[:3]} == {"facts", "sums", "copying"}
    assert {flip.kind for flip in verdict.flips} == {"wrong content"}
    assert {(flip.before, flip.now) for flip in verdict.flips} == {("base says", "no idea")}


def test_skills_that_were_trained_on_or_left_out_are_noted_and_not_counted() -> None:
    seen = frozenset(f"facts-{i}" for i in range(40))
    contamination = Contamination("new", "t.jsonl", 300, 40, "facts-0", 7, "skills case", seen)
    verdict = evaluate(KEPT, contamination=contamination)

    assert parts(verdict)["facts"].n == 60
    assert verdict.check.n == 260
    assert verdict.notes == (
        note(NoteKind.TRAINED_ON, n=40, file="t.jsonl", line=7, first="facts-0"),
    )

    told = note(NoteKind.NO_SANDBOX, skills=("code",))
    assert evaluate(KEPT, excluded_skills=("code",)).notes == (told,)


TRAIN_AGAIN = NextStep(StepKind.TRAIN_AGAIN, {"variant": "new"})


def set_limit(limit: float) -> NextStep:
    values = {"setting": f"max_drop: {limit:g}", "where": "suite.ftgate.yaml:9"}
    return NextStep(StepKind.SET_LIMIT, values)


def test_a_failed_verdict_says_what_it_is_about_and_what_to_do() -> None:
    verdict = evaluate({"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)})

    assert (verdict.suite, verdict.line, verdict.gate) == ("suite.ftgate.yaml", 9, "forgetting")
    assert (verdict.variant, verdict.outcome) == ("new", Outcome.FAILED)
    assert (verdict.statement, verdict.deciding) == (Statement(StatementKind.SKILLS), 0)
    assert (verdict.regressed, verdict.fixed, verdict.breaks) == (145, 0, ())
    assert verdict.next == (TRAIN_AGAIN,)
    assert (verdict.notes, verdict.facts) == ((), {})
    assert [drift.what for drift in verdict.drifts] == ["length", "refusals", "hedging"]
    assert verdict.loss_kinds == (
        LossKind(
            kind="wrong content",
            cases=145,
            share=1.0,
            examples=("facts-10", "facts-11", "facts-12", "facts-13", "facts-14"),
        ),
    )
    check = verdict.check
    assert (check.kind, check.against, check.limit) == (CheckKind.BASE, "base", 0.1)
    assert (check.alarm, check.miss) == (0.01, 0.05)
    assert (check.low, check.high) == (
        pytest.approx(-0.540, abs=0.001),
        pytest.approx(-0.427, abs=0.001),
    )


def test_the_limit_of_the_mean_is_offered_unless_a_tested_part_regressed() -> None:
    lost = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}

    assert evaluate(lost, max_drop=0.3).next == (TRAIN_AGAIN, set_limit(0.54))
    assert evaluate(lost, max_drop=0.3, margins={"facts": 0.1}).next == (TRAIN_AGAIN,)

    before = {"facts": (60, 0), "sums": (30, 0)}
    after = {"facts": (60, 0), "sums": (26, 4)}

    verdict = evaluate(after, before=before, margins={"facts": 0.2})

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [(part.name, part.state) for part in verdict.slices if part.gated] == [("facts", "kept")]
    assert verdict.next[-1].kind is StepKind.SET_LIMIT


def test_an_inconclusive_mean_names_the_cases_and_the_limit_that_settle_it() -> None:
    before = {"facts": (30, 0), "sums": (30, 0)}
    after = {"facts": (28, 2), "sums": (28, 2)}

    more, limit = evaluate(after, before=before).next
    skill = evaluate(after, before=before, each=0.15).next

    assert (more.kind, more.values["cases"]) == (StepKind.ADD_CASES, "skills case")
    assert limit == set_limit(0.15)
    assert [step.kind for step in skill] == [StepKind.ADD_CASES, *[StepKind.SETTLE_SKILL] * 2]


def test_a_model_that_no_longer_ends_is_named_as_the_cause() -> None:
    base = skill_scores("base", KEPT)
    new = skill_scores("new", {"facts": (0, 100), "sums": (0, 100), "copying": (0, 100)})
    endless = {
        key: replace(row, replies=(Reply(text="and so on", stop="length"),))
        for key, row in new.results.items()
    }
    scores = SkillComparison({"": (VariantScores("new", endless), base)})

    verdict = evaluate_forgetting(suite(GATE), GATE, scores)

    assert verdict.next[0].kind is StepKind.CHECK_CAUSE
    counts = {"count": 300, "of": 300, "before": 0.0}
    assert verdict.next[0].values == {"cause": Cause.CUT_OFF, **counts}


def test_a_skill_that_is_not_shown_to_keep_its_limit_is_named_with_its_interval() -> None:
    verdict = evaluate({"facts": (54, 46), "sums": (62, 38), "copying": (62, 38)}, each=0.10)

    assert verdict.next == (
        NextStep(
            StepKind.SETTLE_SKILL,
            {
                "skill": "facts",
                "n": 100,
                "margin": 0.1,
                "low": pytest.approx(-0.125, abs=0.001),
                "high": pytest.approx(-0.021, abs=0.001),
                "where": "suite.ftgate.yaml:9",
            },
        ),
    )


@every_row(("missing", "outcome"), [(14, "failed"), (15, "inconclusive")])
def test_a_regressed_family_decides_nothing_beside_too_many_missing_replies(
    missing, outcome
) -> None:
    before = {"logic": (140, 0), "reading": (140, 0)}
    after = skill_scores("new", {"logic": (98, 42), "reading": (140, 0)})
    rows = dict(after.results)
    for number in range(missing):
        name = f"reading-{number}"
        rows[name] = replace(rows[name], replies=(), scores=())
    scores = {"": (VariantScores("new", rows), skill_scores("base", before))}
    gate = replace(GATE, max_drop=0.24)
    verdict = evaluate_forgetting(suite(gate), gate, SkillComparison(scores))

    assert verdict.check.outcome is not Outcome.FAILED
    assert [part.name for part in verdict.slices if part.state == "regressed"] == ["reasoning"]
    assert verdict.outcome == outcome
    if outcome == "inconclusive":
        assert verdict.next[0] == NextStep(
            StepKind.RUN_AGAIN, {"missing": 15, "suite": "suite.ftgate.yaml"}
        )
        made = suite(gate)
        new = replace(made.variants["new"], replies=Path("a/b.jsonl"))
        recorded = replace(made, variants={**made.variants, "new": new})
        assert evaluate_forgetting(recorded, gate, SkillComparison(scores)).next[0] == NextStep(
            StepKind.ADD_REPLIES, {"missing": 15, "file": "b.jsonl"}
        )


# Under the prompt -------------------------------------------------------------------------------


def under_prompt(own, prompted) -> Verdict:
    gate = replace(GATE, under_prompt=True)
    base = skill_scores("base", KEPT)
    scores = {"": (skill_scores("new", own), base), "prompt": (skill_scores("new", prompted), base)}
    return evaluate_forgetting(suite(gate), gate, SkillComparison(scores))


REGRESSED = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}


def test_skills_kept_alone_and_under_the_prompt_pass() -> None:
    verdict = under_prompt(KEPT, KEPT)

    assert verdict.outcome is Outcome.PASSED
    assert [check.under for check in verdict.checks] == ["", "prompt"]


@every_row(("own", "prompted", "under"), [(KEPT, REGRESSED, "prompt"), (REGRESSED, KEPT, "")])
def test_a_loss_under_either_fails_and_the_headline_says_which(own, prompted, under) -> None:
    verdict = under_prompt(own, prompted)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.check.under == under
    assert (verdict.deciding, verdict.drifts[0].n) == (int(bool(under)), 300)
    assert [kind.under for kind in verdict.loss_kinds] == [under]
    assert ("under the prompt" in headline(verdict)) is bool(under)
    assert verdict.regressed == 145
    assert {part.under for part in verdict.slices} == {"", "prompt"}
    assert "under the prompt of the product:" in verdict_section(verdict)


def test_only_tested_skills_take_shares_of_the_alarm_and_twice_under_the_prompt() -> None:
    tested = replace(GATE, cases=skill_cases(("reading", "logic")), each=0.1)

    assert shared_levels(suite(tested)).shared == 2
    assert shared_levels(suite(replace(tested, under_prompt=True))).shared == 4

    small = replace(GATE, cases=skill_cases(("general-small",)))

    assert shared_levels(suite(small)).shared == 1


# What could never be shown ----------------------------------------------------------------------


def test_code_is_left_out_with_a_note_if_it_cannot_be_sandboxed(monkeypatch) -> None:
    whole = suite(replace(GATE, cases=skill_cases(("code_writing", "reading"))))

    assert exclude_unrunnable_skills(whole) is whole
    monkeypatch.setattr("pytest_ftgate.scoring.sandbox.can_sandbox", lambda: False)
    gate = exclude_unrunnable_skills(whole).gates["forgetting"]
    assert {case.skill for case in gate.cases} == {"reading"}
    assert gate.excluded_skills == ("code_writing",)


def test_a_gate_without_its_computed_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="not computed yet"):
        evaluate(KEPT, max_drop=None)


def test_without_a_reply_the_gate_is_inconclusive_and_has_no_retention() -> None:
    base, new = skill_scores("base", KEPT), skill_scores("new", KEPT)
    gone = {k: replace(r, replies=(), scores=()) for k, r in new.results.items()}
    scores = {"": (VariantScores("new", gone), base)}

    verdict = evaluate_forgetting(suite(GATE), GATE, SkillComparison(scores, None, None))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.check.retention is None
    assert StepKind.RUN_AGAIN in {step.kind for step in verdict.next}


def test_the_same_replies_are_noted_and_lucky_guesses_and_levels_too() -> None:
    base = skill_scores("base", KEPT)
    chosen = {
        key: replace(row, case=replace(row.case, choices=4)) for key, row in base.results.items()
    }
    base = replace(base, results=chosen)
    gate = replace(GATE, cases=tuple(row.case for row in chosen.values()))
    comparison = SkillComparison(
        {"": (base, base)}, choices=(LevelChoice("facts", 2, 0.7), LevelChoice("sums", None, 0.2))
    )

    notes = evaluate_forgetting(suite(gate), gate, comparison).notes

    assert notes == (
        note(NoteKind.UNCHANGED),
        text_note("levels: facts 2 (base right in 70 %), sums none (base right in 20 %)"),
        text_note(
            "sums is left out: the base is right in 20 % of its easiest pilot cases, too few to "
            "show a loss"
        ),
        note(NoteKind.GUESSES, share=0.25),
    )


def test_guesses_in_a_skill_that_may_be_lost_are_not_noted() -> None:
    base = skill_scores("base", KEPT)
    guessed = {
        key: replace(row, case=replace(row.case, choices=2 if row.case.skill == "facts" else None))
        for key, row in base.results.items()
    }
    both = replace(base, results=guessed)
    notes = []
    for gate in (GATE, replace(GATE, may_lose=("facts",))):
        scores = SkillComparison({"": (both, both)})
        notes.append(evaluate_forgetting(suite(gate), gate, scores).notes)

    assert notes[0][-1] == note(NoteKind.GUESSES, share=pytest.approx(1 / 6))
    assert notes[1] == (note(NoteKind.UNCHANGED),)


def test_how_the_replies_to_skills_drift_and_that_many_have_no_answer_is_noted() -> None:
    base = skill_scores("base", KEPT)
    rows = {
        key: replace(row, replies=(Reply(text="", stop="length"),))
        if number < 20
        else replace(row, replies=(Reply(text="a reply of many more words than before"),))
        for number, (key, row) in enumerate(skill_scores("new", KEPT).results.items())
    }
    scores = SkillComparison({"": (VariantScores("new", rows), base)})

    small, cut_off, *drifts = evaluate_forgetting(suite(GATE), GATE, scores).notes

    assert small == SMALL_DROP
    assert cut_off == note(NoteKind.NO_ANSWER, n=20, of=300, variant="new")
    assert texts(drifts) == (
        "replies are 4 times as long as before (median 2 → 8 words)",
        "7 % of replies are cut off at their token limit, 0 % before",
    )
