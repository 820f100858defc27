"""The forgetting gate: its mean, its verdict, its prompts, and the cases that must be kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.score_columns import (
    case_result,
    changed,
    skill_scores,
    suite,
    with_case,
    without_replies,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Look, shared_levels
from pytest_ftgate.gates.feasibility import exclude_unrunnable_skills
from pytest_ftgate.gates.forgetting import (
    SkillComparison,
    broken_must_keep_ids,
    evaluate_forgetting,
)
from pytest_ftgate.gates.notes import Cause, NoteKind, ReplyNote, note, text_note
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
REGRESSED = {"facts": (10, 90), "sums": (5, 95), "copying": (20, 80)}
#: All the loss is in one skill.
LOST = {**KEPT, "facts": (30, 70)}


def compared(new: VariantScores, base: VariantScores, gate=GATE, **known) -> Verdict:
    return evaluate_forgetting(suite(gate), gate, SkillComparison({"": (new, base)}, **known))


def evaluate(after, *, before=KEPT, wrong="no idea", contamination=None, **keys) -> Verdict:
    sides = skill_scores("new", after, wrong=wrong), skill_scores("base", before)
    return compared(*sides, replace(GATE, **keys), contamination=contamination)


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
    assert headline(verdict).endswith("; but regressed: facts down 30 (22 to 40)")


def test_each_skill_weighs_the_same_or_as_much_as_the_gate_says() -> None:
    verdict = evaluate(
        {"facts": (300, 0), "sums": (15, 15)}, before={"facts": (300, 0), "sums": (30, 0)}
    )

    assert round(verdict.check.after, 2) == 0.75

    heavy, none = (evaluate(LOST, weights={"facts": w}, each=0.1) for w in (4.0, 0.0))

    assert heavy.check.change == pytest.approx(-0.20)
    assert none.check.change == 0
    assert none.check.n == 200
    # It still fails: no weight hides a regressed skill.
    assert none.outcome is Outcome.FAILED


def test_a_skill_that_may_be_lost_is_reported_and_neither_evaluated_nor_counted() -> None:
    verdict = evaluate({**KEPT, "facts": (0, 100)}, may_lose=("facts",))

    assert verdict.outcome is Outcome.PASSED
    assert (verdict.check.change, verdict.check.n) == (0, 200)
    assert states(verdict)["facts"] == "allowed"
    assert not parts(verdict)["facts"].gated
    assert "facts" not in headline(verdict)
    (results,) = skill_results_by_prompt(verdict)
    (row,) = (row for row in skill_table(results).rows if row[0] == "facts")
    assert (row[1:3], row[-1]) == (["60 %", "0 %"], "may be lost")

    lost = {**KEPT, "facts": (0, 100), "sums": (50, 50)}

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
        low, high = (pytest.approx(bound, abs=0.001) for bound in (-0.125, -0.021))
        bounds = {"margin": 0.1, "low": low, "high": high}
        assert step.values == {"skill": "facts", "n": 100, **bounds, "where": "suite.ftgate.yaml:9"}
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

    nothing = {"facts": (2, 98), "sums": (0, 100)}

    assert evaluate(nothing, before=nothing).outcome is Outcome.INCONCLUSIVE


# The text of the verdict ------------------------------------------------------------------------


def test_the_mean_has_its_retention_without_what_may_be_lost_and_its_transfer_with_it() -> None:
    check = evaluate(LOST, may_lose=("facts",)).check

    assert check.retention.share == 1
    assert check.transfer == pytest.approx(-0.1)


def test_slices_by_difficulty_and_by_language_are_reported_and_not_gated() -> None:
    def leveled(n, row):
        return with_case(row, difficulty=1 + n % 2, language="de" if n % 4 else "en")

    verdict = compared(*(changed(skill_scores(side, KEPT), leveled) for side in ("new", "base")))

    assert list(parts(verdict, "difficulty")) == ["1", "2"]
    assert list(parts(verdict, "language")) == ["de", "en"]
    assert not any(part.gated for part in verdict.slices)
    (results,) = skill_results_by_prompt(verdict)
    assert ("by difficulty", ("1: 60 → 60 %", "2: 60 → 60 %")) in results.details


MADE_UP = "refund", "late_delivery", "my_label"
SMALL_DROP = note(NoteKind.SMALL_DROP)
LIKE_LABELS = note(NoteKind.LIKE_LABELS, n=3, of=12, labels=2)


def lost_answers(*texts: str, labels: bool = True) -> Verdict:
    """Return the verdict on a variant whose wrong answers are *texts*, of a base without any."""
    base = skill_scores("base", {"facts": (200, 0)})
    rows = [case_result(f"facts-{n}", 0.0, text, skill="facts") for n, text in enumerate(texts)]
    new = {**base.results, **{row.case.id: row for row in rows}}
    made = suite(GATE)
    if not labels:
        made = replace(made, reply=replace(made.reply, format=(Rule("json_schema", {}),)))
    sides = VariantScores("new", new), base
    return evaluate_forgetting(made, GATE, SkillComparison({"": sides}))


@every_row(
    ("said", "labels", "told"),
    [
        ([*MADE_UP, *["so"] * 9], True, [SMALL_DROP, LIKE_LABELS]),
        ([*MADE_UP, *["so"] * 10], True, [SMALL_DROP]),
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

    told = note(NoteKind.LIKE_LABELS, n=145, of=145, labels=0)
    assert evaluate(REGRESSED, wrong="japan_capital").notes[-1:] == (told,)


def test_easy_cases_and_broken_ones_that_must_be_kept_are_shown_first() -> None:
    levels = {"facts": (3, 1, None, 2), "sums": (2, 5, 1, 4)}

    def leveled(_, row):
        skill, _, number = row.case.id.partition("-")
        difficulty = levels[skill][int(number)]
        return with_case(row, difficulty=difficulty, must_keep=row.case.id == "sums-1")

    sides = (
        skill_scores(name, dict.fromkeys(levels, counts))
        for name, counts in (("new", (0, 4)), ("base", (4, 0)))
    )
    verdict = compared(*(changed(side, leveled) for side in sides))

    shown = "sums-1 facts-1 sums-2 facts-3 sums-0 facts-0 sums-3 facts-2"
    assert " ".join(flip.case for flip in verdict.flips) == shown


def test_flips_have_kinds_of_loss_only_where_a_reply_regressed_and_begin_with_many_skills() -> None:
    verdict = evaluate({"facts": (61, 39), "sums": (59, 41), "copying": (60, 40)})

    found = [(flip.case, flip.kind) for flip in verdict.flips]
    assert found == [("sums-59", "wrong content"), ("facts-60", "")]

    verdict = evaluate(REGRESSED)

    assert {flip.skill for flip in verdict.flips[:3]} == {"facts", "sums", "copying"}
    assert {flip.kind for flip in verdict.flips} == {"wrong content"}
    assert {(flip.before, flip.now) for flip in verdict.flips} == {("base says", "no idea")}


def test_skills_that_were_trained_on_or_left_out_are_noted_and_not_counted() -> None:
    seen = frozenset(f"facts-{i}" for i in range(40))
    contamination = Contamination("new", "t.jsonl", 300, 40, "facts-0", 7, "skills case", seen)
    verdict = evaluate(KEPT, contamination=contamination)

    assert parts(verdict)["facts"].n == 60
    assert verdict.check.n == 260
    seen = note(NoteKind.TRAINED_ON, n=40, file="t.jsonl", line=7, first="facts-0")
    assert verdict.notes == (seen,)

    told = note(NoteKind.NO_SANDBOX, skills=("code",))
    assert evaluate(KEPT, excluded_skills=("code",)).notes == (told,)


TRAIN_AGAIN = NextStep(StepKind.TRAIN_AGAIN, {"variant": "new"})


def set_limit(limit: float) -> NextStep:
    values = {"setting": f"max_drop: {limit:g}", "where": "suite.ftgate.yaml:9"}
    return NextStep(StepKind.SET_LIMIT, values)


def test_a_failed_verdict_says_what_it_is_about_and_what_to_do() -> None:
    verdict = evaluate(REGRESSED)

    assert (verdict.suite, verdict.line, verdict.gate) == ("suite.ftgate.yaml", 9, "forgetting")
    assert (verdict.variant, verdict.outcome) == ("new", Outcome.FAILED)
    assert (verdict.statement, verdict.deciding) == (Statement(StatementKind.SKILLS), 0)
    assert (verdict.regressed, verdict.fixed, verdict.breaks) == (145, 0, ())
    assert verdict.next == (TRAIN_AGAIN,)
    assert (verdict.notes, verdict.facts) == ((), {})
    assert [drift.what for drift in verdict.drifts] == ["length", "refusals", "hedging"]
    examples = tuple(f"facts-{number}" for number in range(10, 15))
    wrong = LossKind(kind="wrong content", cases=145, share=1.0, examples=examples)
    assert verdict.loss_kinds == (wrong,)
    check = verdict.check
    assert (check.kind, check.against, check.limit) == (CheckKind.BASE, "base", 0.1)
    assert (check.alarm, check.miss) == (0.01, 0.05)
    assert (check.low, check.high) == pytest.approx((-0.540, -0.427), abs=0.001)


def test_the_limit_of_the_mean_is_offered_unless_a_tested_part_regressed() -> None:
    assert evaluate(REGRESSED, max_drop=0.3).next == (TRAIN_AGAIN, set_limit(0.54))
    assert evaluate(REGRESSED, max_drop=0.3, margins={"facts": 0.1}).next == (TRAIN_AGAIN,)

    before = {"facts": (60, 0), "sums": (30, 0)}
    verdict = evaluate({**before, "sums": (26, 4)}, before=before, margins={"facts": 0.2})

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
    endless = (Reply(text="and so on", stop="length"),)
    new = skill_scores("new", dict.fromkeys(KEPT, (0, 100)))
    new = changed(new, lambda _, row: replace(row, replies=endless))

    verdict = compared(new, skill_scores("base", KEPT))

    assert verdict.next[0].kind is StepKind.CHECK_CAUSE
    counts = {"count": 300, "of": 300, "before": 0.0}
    assert verdict.next[0].values == {"cause": Cause.CUT_OFF, **counts}


@every_row(("missing", "outcome"), [(14, "failed"), (15, "inconclusive")])
def test_a_regressed_family_decides_nothing_beside_too_many_missing_replies(
    missing, outcome
) -> None:
    new = skill_scores("new", {"logic": (98, 42), "reading": (140, 0)})
    new = without_replies(new, [f"reading-{number}" for number in range(missing)])
    base = skill_scores("base", {"logic": (140, 0), "reading": (140, 0)})
    gate = replace(GATE, max_drop=0.24)
    verdict = compared(new, base, gate)

    assert verdict.check.outcome is not Outcome.FAILED
    assert [part.name for part in verdict.slices if part.state == "regressed"] == ["reasoning"]
    assert verdict.outcome == outcome
    if outcome == "inconclusive":
        assert verdict.next[0] == NextStep(
            StepKind.RUN_AGAIN, {"missing": 15, "suite": "suite.ftgate.yaml"}
        )


# Under the prompt -------------------------------------------------------------------------------


def under_prompt(own, prompted) -> Verdict:
    gate = replace(GATE, under_prompt=True)
    base = skill_scores("base", KEPT)
    scores = {"": (skill_scores("new", own), base), "prompt": (skill_scores("new", prompted), base)}
    return evaluate_forgetting(suite(gate), gate, SkillComparison(scores))


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


# What could never be shown ----------------------------------------------------------------------


def test_code_is_kept_where_it_can_be_sandboxed(monkeypatch) -> None:
    monkeypatch.setattr("pytest_ftgate.scoring.sandbox.can_sandbox", lambda: True)
    whole = suite(replace(GATE, cases=skill_cases(("code_writing", "reading"))))

    assert exclude_unrunnable_skills(whole) is whole


def test_a_gate_without_its_computed_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="not computed yet"):
        evaluate(KEPT, max_drop=None)


def test_without_a_reply_the_gate_is_inconclusive_and_has_no_retention() -> None:
    base, new = skill_scores("base", KEPT), skill_scores("new", KEPT)

    verdict = compared(without_replies(new, new.results), base)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.check.retention is None
    assert StepKind.RUN_AGAIN in {step.kind for step in verdict.next}


def test_the_same_replies_are_noted_and_lucky_guesses_and_levels_too() -> None:
    base = changed(skill_scores("base", KEPT), lambda _, row: with_case(row, choices=4))
    gate = replace(GATE, cases=base.cases)
    choices = (LevelChoice("facts", 2, 0.7), LevelChoice("sums", None, 0.2))

    notes = compared(base, base, gate, choices=choices).notes

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
    def two_choices(_, row):
        return with_case(row, choices=2 if row.case.skill == "facts" else None)

    both = changed(skill_scores("base", KEPT), two_choices)
    gates = GATE, replace(GATE, may_lose=("facts",))
    notes = [compared(both, both, gate).notes for gate in gates]

    assert notes[0][-1] == note(NoteKind.GUESSES, share=pytest.approx(1 / 6))
    assert notes[1] == (note(NoteKind.UNCHANGED),)


def test_how_the_replies_to_skills_drift_and_that_many_have_no_answer_is_noted() -> None:
    cut_off, longer = (
        (Reply(text="", stop="length"),),
        (Reply(text="a reply of many more words than before"),),
    )
    new = changed(
        skill_scores("new", KEPT),
        lambda n, row: replace(row, replies=cut_off if n < 20 else longer),
    )

    small, cut, *drifts = compared(new, skill_scores("base", KEPT)).notes

    assert small == SMALL_DROP
    assert cut == note(NoteKind.NO_ANSWER, n=20, of=300, variant="new")
    assert [(one.kind, one.values["what"]) for one in drifts] == [
        (ReplyNote.LENGTH, "replies"),
        (ReplyNote.SHARE, "cut off"),
    ]


# Cases that must be kept ------------------------------------------------------------------------


# A look at a part of the questions ---------------------------------------------------------------


EARLY = Look(cases=frozenset({"facts-0"}), of=2, fractions=(0.25,))


def at_look(new, base, gate=GATE) -> Verdict:
    return evaluate_forgetting(suite(gate), gate, SkillComparison({"": (new, base)}), EARLY)


@every_row(
    ("after", "outcome"),
    [
        (REGRESSED, Outcome.FAILED),
        # All questions fail it, and a part of them is not as sure.
        ({**KEPT, "facts": (40, 60), "sums": (48, 52)}, Outcome.INCONCLUSIVE),
        # All questions pass it.
        (KEPT, Outcome.INCONCLUSIVE),
        # A skill that lost its margin decides with all of its questions.
        ({"facts": (20, 80), "sums": (80, 20), "copying": (80, 20)}, Outcome.INCONCLUSIVE),
    ],
)
def test_a_look_at_a_part_of_the_questions_fails_by_the_mean_alone_and_never_passes(after, outcome):
    gate = replace(GATE, margins={"facts": 0.1})

    verdict = at_look(skill_scores("new", after), skill_scores("base", KEPT), gate)

    assert verdict.outcome is outcome
    assert note(NoteKind.LOOK_SKILLS, n=300, of=1200) in verdict.notes


def must_keep_scores(variant: str, *correct: float) -> VariantScores:
    """Return right results of facts; the first is a must-keep case with the scores *correct*."""
    side = skill_scores(variant, {"facts": (100, 0)})
    first = with_case(side.results["facts-0"], must_keep=True)
    scores = tuple(replace(first.scores[0], correct=score) for score in correct)
    first = replace(first, replies=first.replies * len(scores), scores=scores)
    return VariantScores(variant, {**side.results, "facts-0": first})


BROKEN, RIGHT = must_keep_scores("new", 0.0), must_keep_scores("base", 1.0)
#: The base without the case.
OTHERS = VariantScores("base", {k: v for k, v in RIGHT.results.items() if k != "facts-0"})


def test_a_must_keep_case_that_breaks_fails_the_gate_alone_and_is_shown_first() -> None:
    verdict = compared(BROKEN, RIGHT)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.breaks == ("facts-0",)
    assert "must-keep cases broke: facts-0" in headline(verdict)
    assert verdict.flips[0].case == "facts-0"
    assert "must be kept" in verdict_section(verdict, 1)
    assert compared(BROKEN, RIGHT, repeated=(RIGHT, RIGHT)).breaks == ()
    # That no further question can mend.
    assert at_look(BROKEN, RIGHT).outcome is Outcome.FAILED


@every_row(
    ("mine", "base", "broke"),
    [
        ((0.5,), (1.0,), True),
        ((0.6,), (1.0,), False),
        ((0.0,), (0.5,), False),
        ((0.0,), (0.6,), True),
        ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), True),
        ((0.0, 1.0, 1.0), (1.0, 1.0, 1.0), False),
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), False),
    ],
)
def test_a_case_breaks_if_its_mean_score_is_above_half_only_of_the_base(mine, base, broke) -> None:
    new, old = must_keep_scores("new", *mine), must_keep_scores("base", *base)

    assert bool(broken_must_keep_ids(new, old)) is broke
    # Repeated replies excuse it by the same rule.
    assert bool(broken_must_keep_ids(BROKEN, RIGHT, (new, old))) is broke


def test_a_must_keep_case_without_a_weight_or_a_reply_of_the_base_cannot_break() -> None:
    def light(_, row):
        return with_case(row, weight=0.0)

    assert broken_must_keep_ids(changed(BROKEN, light), RIGHT) == ()
    assert broken_must_keep_ids(BROKEN, OTHERS) == ()


def test_a_repeated_request_without_a_reply_on_either_side_leaves_the_case_broken() -> None:
    gone = without_replies(RIGHT, ["facts-0"])

    for repeated in ((OTHERS, OTHERS), (BROKEN, OTHERS), (gone, RIGHT)):
        assert broken_must_keep_ids(BROKEN, RIGHT, repeated) == ("facts-0",)


def test_no_limit_of_the_mean_excuses_a_case_that_broke() -> None:
    sides = skill_scores("new", {"facts": (20, 80)}), skill_scores("base", {"facts": (60, 40)})
    wide = replace(GATE, max_drop=0.3)

    def kept(_, row):
        return with_case(row, must_keep=row.case.id == "facts-59")

    broken = compared(*(changed(side, kept) for side in sides), wide)
    limited = compared(*sides, wide)
    assert [step.kind for step in broken.next] == [StepKind.TRAIN_AGAIN]
    assert StepKind.SET_LIMIT in {step.kind for step in limited.next}
