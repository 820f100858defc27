"""What regressed cases have in common: named only if it goes with regressing, never by chance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import case_result, suite, variant_scores, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import Note, NoteKind, ReplyNote, note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.statements import NextStep, StepKind, Value
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

DROP = RateGate(kind="accuracy", line=7, max_drop=0.02)
OF = {"of": "regressed cases"}
FENCED, CUT = FormatError("fenced", lenient=True), FormatError("truncated")


def result(
    number: int, right: float, error: FormatError | None = None, *, stop: str = "end"
) -> CaseResult:
    plain = case_result(f"c{number:03}", right, "refund")
    reply = Reply(text=f"refund {number}", stop=stop)
    return replace(plain, replies=(reply,), scores=(Score(right, error),))


def variant(rows: Iterable[CaseResult], name: str = "new") -> VariantScores:
    return VariantScores(name, {row.case.id: row for row in rows})


def replies(
    n: int,
    *,
    wrong: Collection[int] = (),
    fenced: Collection[int] = (),
    cut: Collection[int] = (),
    name: str = "new",
) -> VariantScores:
    """Return the scores of n cases, of which some are wrong, fenced or cut off, by their number."""
    return variant(
        (
            result(i, 0.0, CUT, stop="length")
            if i in cut
            else result(i, float(i not in wrong), FENCED if i in fenced else None)
            for i in range(n)
        ),
        name,
    )


def judged(after: VariantScores, before: VariantScores, gate: RateGate = DROP, **more) -> Verdict:
    return evaluate_rate(suite(gate), gate, Comparison(after, before, **more))


def clauses(verdict: Verdict) -> str:
    """Return what the headline says after the numbers of the check."""
    return headline(verdict).partition("; ")[2]


def common(verdict: Verdict) -> dict[str, Value]:
    """Return the counts of a statement about what regressed cases have in common."""
    names = ("broken", "broken_others", "cut", "cut_others", "regressed", "others", "rest")
    values = verdict.statement.values
    return {name: values[name] for name in names if name in values}


def raise_max_tokens(cut: int, *, of: int) -> NextStep:
    values = {"cut": cut, "of": of, "where": "suite.ftgate.yaml"}
    return NextStep(StepKind.RAISE_MAX_TOKENS, values)


def broken(verdict: Verdict) -> list[Note]:
    kinds = (ReplyNote.BROKEN_FORMATS, ReplyNote.UNLINKED_FORMATS)
    return [one for one in verdict.notes if one.kind in kinds]


BEFORE = replies(400, wrong=range(381, 400), name="current")
LOST = range(19)


def test_broken_formats_that_go_with_regressing_are_named_beside_those_of_the_others() -> None:
    fenced = {*range(15), *range(19, 31)}

    verdict = judged(replies(400, wrong={*LOST, *range(381, 400)}, fenced=fenced), BEFORE)

    assert verdict.outcome is Outcome.FAILED
    assert common(verdict) == {
        "broken": 15, "broken_others": 12, "regressed": 19, "others": 381, "rest": 373,
    }  # fmt: skip
    assert broken(verdict) == []
    assert verdict.next[0].values == {"format_error": "fenced", "replies": 15, **OF}


def test_formats_that_broke_as_often_elsewhere_or_before_are_no_cause() -> None:
    fenced = {*range(15), *range(19, 339)}

    verdict = judged(replies(400, wrong={*LOST, *range(381, 400)}, fenced=fenced), BEFORE)

    assert clauses(verdict) == ""
    assert broken(verdict) == [
        note(ReplyNote.UNLINKED_FORMATS, count=335, of=400, hits=15, regressed=19)
    ]
    assert StepKind.FIX_FORMAT not in {step.kind for step in verdict.next}

    fenced = {*range(15)}

    verdict = judged(
        replies(400, wrong=LOST, fenced=fenced), replies(400, fenced=fenced, name="current")
    )

    assert (clauses(verdict), broken(verdict)) == ("", [])


def test_missing_replies_have_their_own_clause_and_are_in_no_other_count() -> None:
    everything = range(600)
    before = replies(600, fenced=everything, name="current")
    after = replies(600, wrong=range(12), fenced=everything)
    gone = {f"c{number:03}" for number in range(300, 600)}

    verdict = judged(without_replies(after, gone), before)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert common(verdict) == {}
    assert (verdict.check.n, verdict.check.missing) == (300, 300)
    assert NoteKind.MISSING in kinds(verdict.notes)
    assert verdict.regressed == 12


def test_a_case_of_which_one_reply_is_missing_is_in_no_count() -> None:
    fenced = {*range(15)}
    after = replies(400, wrong=LOST, fenced=fenced)
    partly = replace(after.results["c000"], missing_reasons=("it timed out",))
    of_baseline = replace(BEFORE.results["c001"], missing_reasons=("it timed out",))

    verdict = judged(
        VariantScores("new", after.results | {"c000": partly}),
        VariantScores("current", BEFORE.results | {"c001": of_baseline}),
    )

    values = verdict.statement.values
    assert (values["broken"], values["regressed"], values["others"]) == (13, 17, 381)


def test_replies_that_were_cut_off_are_counted_apart_from_broken_formats() -> None:
    after = replies(600, wrong=range(12), cut={*range(9)})
    longer = {f"c{number:03}": result(number, 1.0, stop="length") for number in range(20, 23)}
    after = VariantScores("new", after.results | longer)

    verdict = judged(after, replies(600, name="current"))

    assert common(verdict) == {
        "cut": 9, "cut_others": 3, "regressed": 12, "others": 588, "rest": 588,
    }  # fmt: skip
    assert verdict.next[0] == raise_max_tokens(9, of=12)


def test_replies_that_the_baseline_cuts_off_too_are_no_cause() -> None:
    cut = {*range(9)}

    verdict = judged(
        replies(600, wrong=range(12), cut=cut),
        variant(
            (result(i, 1.0, stop="length" if i in cut else "end") for i in range(600)), "current"
        ),
    )

    assert clauses(verdict) == ""


def test_both_clauses_may_stand() -> None:
    after = replies(600, wrong=range(24), fenced=range(8, 16), cut=range(8))

    verdict = judged(after, replies(600, name="current"))

    assert common(verdict) == {
        "broken": 8, "broken_others": 0, "cut": 8, "cut_others": 0, "regressed": 24, "others": 576,
        "rest": 584,
    }  # fmt: skip


def test_json_that_breaks_off_by_itself_broke_its_format() -> None:
    rows = [result(i, float(i > 11), CUT if i < 9 else None) for i in range(600)]

    values = judged(variant(rows), replies(600, name="current")).statement.values

    assert (values["broken"], "cut" in values) == (9, False)


@every_row(
    ("regressed", "broken", "others", "named"),
    [
        (2, 2, 0, True),
        (2, 1, 0, False),  # one case
        (40, 4, 0, True),
        (40, 3, 0, False),  # less than a tenth, though p is 0.001
        (19, 15, 185, True),  # p is 0.008
        (19, 15, 190, False),  # p is 0.011
    ],
)
def test_a_change_is_named_from_two_cases_a_tenth_and_a_p_value_of_one_percent_on(
    regressed, broken, others, named
) -> None:
    fenced = {*range(broken), *range(regressed, regressed + others)}
    gate = replace(DROP, max_drop=0.004)

    verdict = judged(
        replies(400, wrong=range(regressed), fenced=fenced), replies(400, name="current"), gate
    )

    assert verdict.outcome is not Outcome.PASSED
    assert ("broken" in verdict.statement.values) is named


@every_row(("kept", "is_shown"), [(10, True), (9, False)])
def test_the_mean_of_fewer_than_ten_cases_that_kept_it_is_left_out(kept, is_shown) -> None:
    n = 40
    after = replies(n, wrong=range(20), fenced=range(n - kept))

    verdict = judged(after, replies(n, name="current"))

    assert "broken" in verdict.statement.values
    assert ("rest" in verdict.statement.values) is is_shown
    assert ("that kept it" in headline(verdict)) is is_shown


def test_the_mean_of_the_others_is_that_of_the_record_and_no_macro_f1() -> None:
    gate = replace(DROP, metric="macro_f1")

    values = judged(
        replies(400, wrong=LOST, fenced=LOST), replies(400, name="current"), gate
    ).statement.values

    assert "broken" in values
    assert "rest" not in values

    after, current = replies(400, wrong=LOST, fenced=LOST), replies(400, wrong=LOST, name="current")
    record = samples_from_scores(replies(400, wrong={399}), "accuracy")

    values = judged(after, current, accepted=record).statement.values

    assert (values["broken"], values["regressed"]) == (19, 19)
    assert values["rest_before"] == pytest.approx(380 / 381)
    assert values["rest_after"] == 1.0


@every_row(("fenced", "is_noted"), [(40, True), (39, False)])
def test_the_note_stands_from_a_tenth_of_the_cases_on(fenced, is_noted) -> None:
    after = replies(400, wrong=range(20), fenced={0, *range(20, 19 + fenced)})

    assert bool(broken(judged(after, replies(400, name="current")))) is is_noted


def test_a_note_names_broken_formats_that_no_cause_explains_and_none_without_a_hit() -> None:
    after = replies(100, wrong=range(3), fenced={*range(3), *range(3, 50)})

    verdict = judged(after, replies(100, name="current"))

    assert broken(verdict) == [
        note(ReplyNote.BROKEN_FORMATS, count=50, of=100, hits=3, regressed=3)
    ]

    after = replies(400, wrong=range(20), fenced=range(100, 300))

    assert broken(judged(after, replies(400, name="current"))) == []


def test_where_every_case_regressed_the_error_is_mended_though_no_others_show_the_cause() -> None:
    everything, before = range(60), replies(60, name="current")

    all_broken = judged(replies(60, wrong=everything, fenced=everything), before)
    few_broken = judged(replies(60, wrong=everything, fenced=range(20)), before)

    assert clauses(all_broken) == ""
    assert broken(all_broken) == [
        note(ReplyNote.BROKEN_FORMATS, count=60, of=60, hits=60, regressed=60)
    ]
    assert all_broken.next[0].values == {"format_error": "fenced", "replies": 60, **OF}
    assert StepKind.FIX_FORMAT not in {step.kind for step in few_broken.next}


def test_only_the_errors_of_what_is_named_are_counted() -> None:
    # A fence is common everywhere, and only the replies that were cut off regressed more often.
    after = replies(600, wrong=range(40), fenced={*range(9, 40), *range(40, 500)}, cut=range(9))

    verdict = judged(after, replies(600, name="current"))

    assert "broken" not in verdict.statement.values
    assert verdict.next[0] == raise_max_tokens(9, of=40)


def test_no_cause_is_named_of_a_passed_gate_a_minimum_or_a_format() -> None:
    after, before = replies(400, wrong=LOST, fenced=LOST), replies(400, name="current")
    for gate in (
        replace(DROP, max_drop=0.2),
        RateGate(kind="accuracy", line=7, min=0.99),
        RateGate(kind="format", line=8, max_drop=0.01),
    ):
        values = judged(after, before, gate).statement.values
        assert "broken" not in values
        assert "format_error" not in values
    # The baseline itself has nothing whose formats could have broken.
    record = samples_from_scores(before, "accuracy")
    alone = judged(after, after, accepted=record)
    assert alone.outcome is Outcome.FAILED
    assert "broken" not in alone.statement.values


def test_a_pairwise_judge_or_replies_without_a_score_leave_nothing_to_count() -> None:
    after = variant(
        replace(row, scores=(Score(None, FENCED),))
        for row in replies(40, wrong=range(40)).results.values()
    )
    gate = replace(DROP, max_drop=0.1)

    values = judged(after, variant_scores("current", [1.0] * 40), gate).statement.values

    assert "broken" not in values
