"""Replies that are empty, or end at the token limit: the verdict names the likely cause."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.score_columns import case, case_result, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.diagnosis import ending_causes, with_endings
from pytest_ftgate.gates.notes import Cause, Note, note, text_note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores


def scores(*replies: Reply, name: str = "new", skill: str | None = None, error=None):
    results = [
        CaseResult(case(f"c{n}", skill=skill), (reply,), (Score(0.0, error),), (f"f{n}",))
        for n, reply in enumerate(replies)
    ]
    return VariantScores(name, {result.case.id: result for result in results})


def found(before, after, *, tuned: bool = True, **more) -> list[str]:
    """Return the causes of two lists of replies."""
    old = scores(*before, **more) if before is not None else None
    return [cause.kind for cause in ending_causes(old, scores(*after, **more), tuned=tuned)]


GOOD, EMPTY = Reply(text="refund"), Reply(text=" ")
LONG = Reply(text="Your parcel should have", stop="length")
ON = Reply(text="refund\n<|im_start|>user and", stop="length")
RIGHT_ON = Reply(text="right, since the", stop="length")
OPEN = Reply(text="", stop="length", thought="Let me see")


def test_a_cause_gives_the_counts_of_the_replies_of_a_tuned_model() -> None:
    base = scores(*[GOOD] * 16, *[LONG] * 4)

    def cause(*after: Reply) -> Note:
        (found,) = ending_causes(base, scores(*after), tuned=True)
        return found

    counts = {"count": 18, "of": 20}
    assert cause(*[EMPTY] * 15, *[GOOD] * 5) == note(Cause.ENDS_AT_ONCE, count=15, of=20)
    assert cause(*[ON] * 18, *[GOOD] * 2) == note(Cause.RUNS_ON, **counts)
    assert cause(*[LONG] * 18, *[GOOD] * 2) == note(Cause.CUT_OFF, before=0.2, **counts)
    assert cause(*[OPEN] * 18, *[GOOD] * 2) == note(Cause.THOUGHT, **counts)


@every_row(
    ("before", "after", "causes"),
    [
        ([GOOD] * 20, [EMPTY] * 10 + [GOOD] * 10, [Cause.ENDS_AT_ONCE]),
        ([GOOD] * 20, [EMPTY] * 9 + [GOOD] * 11, []),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 12 + [GOOD] * 8, [Cause.ENDS_AT_ONCE]),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 11 + [GOOD] * 9, []),
        (None, [EMPTY] * 20, [Cause.ENDS_AT_ONCE]),
        ([], [EMPTY] * 20, [Cause.ENDS_AT_ONCE]),
        ([GOOD] * 20, [LONG] * 10 + [GOOD] * 10, [Cause.CUT_OFF]),
        ([GOOD] * 20, [LONG] * 9 + [GOOD] * 11, []),
        ([LONG] * 6 + [GOOD] * 14, [LONG] * 12 + [GOOD] * 8, [Cause.CUT_OFF]),
        ([LONG] * 6 + [GOOD] * 14, [LONG] * 11 + [GOOD] * 9, []),
        ([GOOD] * 20, [ON] * 10 + [GOOD] * 10, [Cause.RUNS_ON]),
        ([GOOD] * 20, [ON] * 9 + [GOOD] * 11, []),
        (None, [ON] * 20, [Cause.RUNS_ON]),
        (None, [RIGHT_ON] * 20, [Cause.RUNS_ON]),
        ([GOOD] * 20, [OPEN] * 10 + [GOOD] * 10, [Cause.THOUGHT]),
        ([GOOD] * 20, [OPEN] * 9 + [GOOD] * 11, []),
        (None, [OPEN] * 20, [Cause.THOUGHT]),
        ([GOOD] * 20, [EMPTY] * 10 + [ON] * 10, [Cause.ENDS_AT_ONCE, Cause.RUNS_ON]),
    ],
)
def test_a_cause_is_named_from_half_of_the_replies_and_from_twice_as_many_on(
    before, after, causes
) -> None:
    assert found(before, after) == causes


@every_row("before", [[LONG] * 20, [ON] * 20, None], ids=["long", "on", "none"])
def test_a_tuned_model_that_answers_and_does_not_stop_is_named_whatever_its_base_does(
    before,
) -> None:
    assert found(before, [ON] * 20) == [Cause.RUNS_ON]


def test_text_behind_an_answer_is_a_cause_for_json_too_and_none_where_the_base_rambles() -> None:
    assert found([RIGHT_ON] * 20, [RIGHT_ON] * 20, skill="facts") == []
    assert found([RIGHT_ON] * 6 + [GOOD] * 14, [RIGHT_ON] * 12 + [GOOD] * 8, skill="facts") == [
        Cause.RUNS_ON
    ]

    reply = Reply(text='{"a": 1}\nUser: and', stop="length")

    assert found(None, [reply] * 20, error=FormatError("trailing text", lenient=True)) == [
        Cause.RUNS_ON
    ]
    assert found(None, [reply] * 20, error=FormatError("truncated")) == []


@every_row(
    ("before", "after"),
    [
        ([EMPTY] * 20, [EMPTY] * 20),
        ([LONG] * 20, [LONG] * 20),
        (None, [LONG] * 20),
        ([GOOD] * 19, [EMPTY] * 19),
        ([GOOD] * 20, [Reply(text="", stop="refusal")] * 20),
        ([GOOD] * 20, [Reply(text="", steps=(Step("", ()),))] * 20),
        (None, [Reply(text="refund", stop="length")] * 20),
        (None, [Reply(text="refund", stop="length", thought="Let me see")] * 20),
        (None, [Reply(text="late", stop="length")] * 20),
        (None, [Reply(text="refund, and more")] * 20),
    ],
    ids=[
        *("empty before", "long before", "limit alone", "few", "refused", "tools", "whole"),
        *("thought", "begun", "ended"),
    ],
)  # fmt: skip
def test_other_replies_have_other_causes(before, after) -> None:
    assert found(before, after) == []


def test_a_variant_is_tuned_only_where_the_suite_says_so() -> None:
    assert found([GOOD] * 20, [LONG] * 20, tuned=False) == []
    assert found([GOOD] * 20, [ON] * 20, tuned=False) == [Cause.GOES_ON]
    assert found([GOOD] * 20, [EMPTY] * 20, tuned=False) == [Cause.EMPTY]

    told = with_endings(
        suite(), verdict(Outcome.FAILED), None, scores(*[EMPTY] * 20, name="stranger")
    )

    assert told.next[0].values["cause"] == Cause.EMPTY


# In the verdict ----------------------------------------------------------------------------------

FIX = NextStep(StepKind.FIX_FORMAT, {"format_error": "truncated", "replies": 20})
TRAIN = NextStep(StepKind.TRAIN_AGAIN)
A_NOTE = text_note("a note")


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(
        suite="s",
        line=1,
        gate="accuracy",
        variant="new",
        outcome=outcome,
        statement=Statement(StatementKind.RATE, {"measure": "accuracy"}),
        notes=(A_NOTE,),
        next=(FIX, TRAIN),
    )


@every_row(
    ("replies", "steps"),
    [
        ([EMPTY] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([ON] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([OPEN] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([LONG] * 20, [StepKind.CHECK_CAUSE, StepKind.FIX_FORMAT, StepKind.TRAIN_AGAIN]),
        ([GOOD] * 20, [StepKind.FIX_FORMAT, StepKind.TRAIN_AGAIN]),
    ],
    ids=["empty", "runs on", "thought", "cut off", "good"],
)
def test_more_tokens_are_advised_only_where_no_answer_is_there_yet(replies, steps) -> None:
    failed = with_endings(suite(), verdict(Outcome.FAILED), scores(GOOD), scores(*replies))

    assert [step.kind for step in failed.next] == steps
    assert failed.notes == (A_NOTE,)


def test_how_replies_end_is_a_note_of_a_gate_that_did_not_fail_if_it_is_not_usual() -> None:
    for outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE):
        told = with_endings(suite(), verdict(outcome), None, scores(*[EMPTY] * 20))

        assert told == replace(
            verdict(outcome), notes=(note(Cause.ENDS_AT_ONCE, count=20, of=20), A_NOTE)
        )

    usual = scores(*[GOOD] * 20)

    for before, after in ((usual, usual), (scores(*[EMPTY] * 20), usual), (None, usual)):
        assert with_endings(suite(), verdict(Outcome.FAILED), before, after) == verdict(
            Outcome.FAILED
        )


def test_replies_of_a_marked_function_may_have_more_scores_than_replies() -> None:
    rows = {
        f"c{n}": replace(
            case_result(f"c{n}", 0.0, "x"), replies=(ON,), scores=(Score(0.0, None),) * 2
        )
        for n in range(20)
    }

    assert [*ending_causes(None, VariantScores("new", rows), tuned=True)]
