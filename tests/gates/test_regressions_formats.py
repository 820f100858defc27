"""What regressed cases have in common: named only if it goes with regressing, never by chance."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from ftgate_testing.score_columns import case_result, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import Note, ReplyNote, note
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
FENCED, CUT = FormatError("fenced", lenient=True), FormatError("truncated")


def result(number: int, right: float, error: FormatError | None, stop: str) -> CaseResult:
    plain = case_result(f"c{number:03}", right, "refund")
    reply = Reply(text=f"refund {number}", stop=stop)
    return replace(plain, replies=(reply,), scores=(Score(right, error),))


def replies(n: int, *, name: str = "new", **numbers: Collection[int]) -> VariantScores:
    """Return the scores of n cases, of which some are odd, by their number.

    They are ``wrong``; ``fenced``; wrong and ``cut`` off; ``long``: at the limit of tokens, but
    right; or wrong and ``broken`` off by themselves.
    """
    rows = {}
    for i in range(n):
        odd = {kind for kind, chosen in numbers.items() if i in chosen}
        stop = "length" if odd & {"cut", "long"} else "end"
        error = CUT if odd & {"cut", "broken"} else FENCED if "fenced" in odd else None
        row = result(i, float(not odd & {"wrong", "cut", "broken"}), error, stop)
        rows[row.case.id] = row
    return VariantScores(name, rows)


def judged(after: VariantScores, before: VariantScores, gate: RateGate = DROP, **more) -> Verdict:
    return evaluate_rate(suite(gate), gate, Comparison(after, before, **more))


def common(verdict: Verdict) -> dict[str, Value]:
    """Return the counts of a statement about what regressed cases have in common."""
    names = ("broken", "broken_others", "cut", "cut_others", "regressed", "others", "rest")
    values = verdict.statement.values
    return {name: values[name] for name in names if name in values}


def broken(verdict: Verdict) -> list[Note]:
    kinds = (ReplyNote.BROKEN_FORMATS, ReplyNote.UNLINKED_FORMATS)
    return [one for one in verdict.notes if one.kind in kinds]


def fix(count: int) -> NextStep:
    values = {"format_error": "fenced", "replies": count, "of": "regressed cases"}
    return NextStep(StepKind.FIX_FORMAT, values)


def raise_max_tokens(cut: int, *, of: int) -> NextStep:
    values = {"cut": cut, "of": of, "regressed": True, "where": "suite.ftgate.yaml"}
    return NextStep(StepKind.RAISE_MAX_TOKENS, values)


ALWAYS_WRONG = range(381, 400)
BEFORE = {"wrong": ALWAYS_WRONG}
LOST = {"wrong": {*range(19), *ALWAYS_WRONG}}


@every_row(
    ("n", "after", "before", "counts", "told", "step"),
    [
        (
            400, {**LOST, "fenced": {*range(15), *range(19, 31)}}, BEFORE,
            {"broken": 15, "broken_others": 12, "regressed": 19, "others": 381, "rest": 373},
            None, fix(15),
        ),
        # The formats broke as often elsewhere, or before.
        (
            400, {**LOST, "fenced": {*range(15), *range(19, 339)}}, BEFORE, {},
            note(ReplyNote.UNLINKED_FORMATS, count=335, of=400, hits=15, regressed=19), None,
        ),
        (400, {**LOST, "fenced": range(15)}, {**BEFORE, "fenced": range(15)}, {}, None, None),
        # Replies that were cut off are counted apart, and not where the baseline cuts them too.
        (
            600, {"wrong": range(12), "cut": range(9), "long": range(20, 23)}, {},
            {"cut": 9, "cut_others": 3, "regressed": 12, "others": 588, "rest": 588},
            None, raise_max_tokens(9, of=12),
        ),
        (600, {"wrong": range(12), "cut": range(9)}, {"long": range(9)}, {}, None, None),
        # JSON that breaks off by itself broke its format.
        (
            600, {"wrong": range(12), "broken": range(9)}, {},
            {"broken": 9, "broken_others": 0, "regressed": 12, "others": 588, "rest": 591},
            None, replace(fix(9), values={**fix(9).values, "format_error": "truncated"}),
        ),
        # Both clauses may stand.
        (
            600, {"wrong": range(24), "fenced": range(8, 16), "cut": range(8)}, {},
            {"broken": 8, "broken_others": 0, "cut": 8, "cut_others": 0, "regressed": 24,
             "others": 576, "rest": 584},
            None, raise_max_tokens(8, of=24),
        ),
        # A fence is common everywhere, and only what was cut off regressed more often.
        (
            600, {"wrong": range(40), "fenced": range(9, 500), "cut": range(9)}, {},
            {"cut": 9, "cut_others": 0, "regressed": 40, "others": 560, "rest": 100},
            note(ReplyNote.UNLINKED_FORMATS, count=491, of=600, hits=31, regressed=40),
            raise_max_tokens(9, of=40),
        ),
        # Too few cases regressed to be linked, or none with a fence.
        (
            100, {"wrong": range(3), "fenced": range(50)}, {}, {},
            note(ReplyNote.BROKEN_FORMATS, count=50, of=100, hits=3, regressed=3), None,
        ),
        (400, {"wrong": range(20), "fenced": range(100, 300)}, {}, {}, None, None),
        # Where every case regressed no others show the cause, and the error is mended.
        (
            60, {"wrong": range(60), "fenced": range(60)}, {}, {},
            note(ReplyNote.BROKEN_FORMATS, count=60, of=60, hits=60, regressed=60), fix(60),
        ),
        (
            60, {"wrong": range(60), "fenced": range(20)}, {}, {},
            note(ReplyNote.BROKEN_FORMATS, count=20, of=60, hits=20, regressed=60), None,
        ),
    ],
)  # fmt: skip
def test_a_change_is_a_cause_if_it_goes_with_regressing_and_else_a_note(
    n, after, before, counts, told, step
) -> None:
    verdict = judged(replies(n, **after), replies(n, name="current", **before))

    assert common(verdict) == counts
    assert broken(verdict) == ([told] if told else [])
    if step:
        assert verdict.next[0] == step
    else:
        mended = {StepKind.FIX_FORMAT, StepKind.RAISE_MAX_TOKENS}
        assert not mended & {one.kind for one in verdict.next}


def test_a_case_of_which_one_reply_is_missing_is_in_no_count() -> None:
    def without(scores: VariantScores, key: str) -> VariantScores:
        partly = replace(scores.results[key], missing_reasons=("it timed out",))
        return VariantScores(scores.variant, scores.results | {key: partly})

    after = without(replies(400, **LOST, fenced=range(15)), "c000")

    values = judged(after, without(replies(400, name="current", **BEFORE), "c001")).statement.values

    assert (values["broken"], values["regressed"], values["others"]) == (13, 17, 381)


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
    after = replies(40, wrong=range(20), fenced=range(40 - kept))

    verdict = judged(after, replies(40, name="current"))

    assert "broken" in verdict.statement.values
    assert ("rest" in verdict.statement.values) is is_shown
    assert ("that kept it" in headline(verdict)) is is_shown


def test_the_mean_of_the_others_is_that_of_the_record_and_none_where_labels_weigh_the_same() -> (
    None
):
    after = replies(400, wrong=range(19), fenced=range(19))
    balanced = replace(DROP, metric="balanced_accuracy")

    values = judged(after, replies(400, name="current"), balanced).statement.values

    assert "broken" in values
    assert "rest" not in values

    record = samples_from_scores(replies(400, wrong={399}), "accuracy")

    values = judged(
        after, replies(400, wrong=range(19), name="current"), accepted=record
    ).statement.values

    assert (values["broken"], values["regressed"]) == (19, 19)
    assert values["rest_before"] == pytest.approx(380 / 381)
    assert values["rest_after"] == 1.0


@every_row(("fenced", "is_noted"), [(40, True), (39, False)])
def test_the_note_stands_from_a_tenth_of_the_cases_on(fenced, is_noted) -> None:
    after = replies(400, wrong=range(20), fenced={0, *range(20, 19 + fenced)})

    assert bool(broken(judged(after, replies(400, name="current")))) is is_noted


def test_no_cause_is_named_of_a_passed_gate_a_minimum_or_a_format() -> None:
    after, before = replies(400, wrong=range(19), fenced=range(19)), replies(400, name="current")
    for gate in (
        replace(DROP, max_drop=0.2),
        RateGate(kind="accuracy", line=7, min=0.99),
        RateGate(kind="format", line=8, max_drop=0.01),
    ):
        values = judged(after, before, gate).statement.values
        assert not {"broken", "format_error"} & values.keys()
    # The baseline itself has nothing whose formats could have broken.
    alone = judged(after, after, accepted=samples_from_scores(before, "accuracy"))
    assert alone.outcome is Outcome.FAILED
    assert "broken" not in alone.statement.values
