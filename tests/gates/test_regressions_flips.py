"""Flips: regressed and fixed cases, their order, and what is shown of each."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.score_columns import case_result
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.regressions import (
    Regressions,
    _representative_reply,
    find_regressions,
    flips,
    interleave,
)
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Flip
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import Score, VariantScores


def repeated(*scores):
    """Return a result with a reply for each of the *scores*, which says its position."""
    plain = case_result("c", 1.0, "refund")
    return replace(
        plain,
        replies=tuple(Reply(text=str(number)) for number in range(3)),
        scores=tuple(replace(plain.scores[0], correct=score) for score in scores),
    )


@every_row(("right", "number"), [(True, "2"), (False, "1")])
def test_the_best_reply_stands_for_a_right_case_and_the_worst_for_a_wrong_one(right, number):
    assert _representative_reply(repeated(0.5, 0.0, 1.0), right=right).text == number


def test_the_first_reply_stands_for_a_case_without_scores_and_valid_formats_count_like_right_ones():
    assert _representative_reply(repeated(), right=True).text == "0"
    assert _representative_reply(replace(repeated(), replies=()), right=True) is None

    mixed = replace(
        repeated(1.0, 0.5, 0.0),
        scores=(Score(1.0, FormatError("empty")), Score(0.5, None), Score(None, None)),
    )

    assert _representative_reply(mixed, right=True).text == "1"
    assert _representative_reply(mixed, right=False).text == "0"


# --- which cases flipped -------------------------------------------------------------------------


def samples(**values):
    return samples_from_cases({name: CaseSample(value, 1, "") for name, value in values.items()})


def test_regressed_and_fixed_cases_are_ranked_by_their_change_and_chosen_ones_come_first():
    before = samples(a=1.0, b=1.0, c=0.0, d=0.5, e=1.0, f=None, g=0.0, h=1.0)
    after = samples(h=0.0, g=1.0, f=0.0, e=1.0, d=1.0, c=1.0, b=0.0, a=0.5, i=0.0)

    assert find_regressions(before, after) == Regressions(("h", "b", "a"), ("g", "c", "d"))

    names = [f"c{n}" for n in range(200)]
    after = samples(**{name: n % 2 / 2 for n, name in enumerate(names)})

    assert find_regressions(None, after) == Regressions((*names[::2], *names[1::2]), ())

    assert find_regressions(None, samples(a=1.0, b=0.5, c=0.0, d=None)) == Regressions(
        ("c", "b"), ()
    )

    found = Regressions(("a", "b", "c", "d"), ("x",))

    assert found.with_first(["c", "a"]) == Regressions(("c", "a", "b", "d"), ("x",))


def test_the_first_cases_of_each_kind_come_before_the_second_ones():
    kinds = {"a": 1, "b": 1, "c": 2, "d": 1, "e": 3, "f": 2}

    assert interleave(kinds) == ("a", "c", "e", "b", "f", "d")

    scores = scored(
        broken("a", "fenced"), broken("b", "", "fenced"), broken("c", "empty"), broken("d", ""),
        broken("e", "empty"), broken("x", "empty"),
    )  # fmt: skip

    found = Regressions(("a", "b", "c", "d", "e"), ("x",)).interleaved_by_format_error(scores)

    assert found == Regressions(("a", "c", "d", "b", "e"), ("x",))


def broken(name, *kinds):
    """Return a result whose replies have these kinds of format error, or none."""
    errors = [FormatError(kind, "its detail") if kind else None for kind in kinds]
    return replace(
        case_result(name, 1.0, "refund"),
        replies=tuple(Reply(text=kind) for kind in kinds),
        scores=tuple(Score(0.0, error) for error in errors),
    )


def scored(*results):
    return VariantScores("new", {result.case.id: result for result in results})


# --- what is shown of a case ---------------------------------------------------------------------


CALL = ToolCall(name="look", arguments={"id": 1})


def replied(name, correct, text, **reply):
    once = case_result(name, correct, "refund")
    return replace(
        once,
        replies=(Reply(text=text, **reply),),
        scores=(replace(once.scores[0], correct=correct),),
    )


def test_a_regressed_case_shows_its_replies_then_and_now():
    old = replied("c", 1.0, "right", thought="so", steps=(Step("", (CALL,)),))
    new = replied(
        "c", 0.0, "wrong", thought="or so", steps=(Step("", (replace(CALL, name="find"),)),),
        passages=(Passage(source="a.md", text="it is right"),),
    )  # fmt: skip
    new = replace(
        new,
        case=replace(new.case, skill="facts"),
        scores=(Score(0.0, FormatError("empty", "its detail"), "far off"),),
    )

    (flip,) = flips(scored(old), scored(new), Regressions(("c",), ()))

    assert flip == Flip(
        case="c", where="cases.jsonl:c", regressed=True, shown="ask c", expected="right",
        before="right", now="wrong", format_error="empty", why="empty: its detail",
        wrong="far off", skill="facts", passages=("a.md: it is right",), answered_in=1,
        called_before=("look(id=1)",), called=("find(id=1)",), thought_before="so",
        thought="or so",
    )  # fmt: skip


def test_a_fixed_case_without_more_to_show_has_its_texts():
    (flip,) = flips(
        scored(replied("c", 0.0, "wrong")), scored(replied("c", 1.0, "right")),
        Regressions((), ("c",)),
    )  # fmt: skip

    assert flip == Flip(
        case="c", where="cases.jsonl:c", regressed=False, shown="ask c", expected="right",
        before="wrong", now="right",
    )  # fmt: skip


def test_the_worst_reply_of_the_wrong_side_and_the_best_of_the_right_side_are_shown():
    good, bad = repeated(0.5, 0.0, 1.0), repeated(0.25, 0.5, 0.0)

    (lost,) = flips(scored(good), scored(bad), Regressions(("c",), ()))
    (won,) = flips(scored(bad), scored(good), Regressions((), ("c",)))

    assert (lost.before, lost.now) == ("2", "2")
    assert (won.before, won.now) == ("2", "2")
    (lost,) = flips(scored(bad), scored(good), Regressions(("c",), ()))
    assert (lost.before, lost.now) == ("1", "1")


@every_row("before", [None, VariantScores("old", {})], ids=["no replies", "other cases"])
def test_a_case_without_replies_on_a_side_shows_the_other(before):
    gone = replace(replied("c", 0.0, ""), replies=(), scores=())

    (lost,) = flips(before, scored(replied("c", 0.0, "wrong")), Regressions(("c",), ()))
    (missing,) = flips(before, scored(gone), Regressions(("c",), ()))

    assert (lost.before, lost.thought_before, lost.called_before, lost.now) == ("", "", (), "wrong")
    assert (missing.now, missing.thought, missing.called) == ("", "", ())


def test_long_texts_are_cut_and_lone_surrogates_escaped():
    result = replied("c", 0.0, "x" * 601, thought="y" * 601)
    result = replace(
        result,
        case=replace(result.case, input="z" * 601),
        scores=(Score(0.0, FormatError("python", ""), "bad \ud800"),),
    )

    (flip,) = flips(None, scored(result), Regressions(("c",), ()))

    assert (flip.now, flip.thought, flip.shown) == ("x" * 600 + "…", "y" * 600, "z" * 600)
    assert (flip.why, flip.wrong) == ("python", "bad \\ud800")


def test_long_replies_that_begin_alike_are_cut_to_where_they_differ():
    alike, rest = "word " * 300, " and more" * 100
    now, before = (scored(replied("c", 0.0, f"{alike}{text}{rest}")) for text in ("new", "old"))

    (flip,) = flips(before, now, Regressions(("c",), ()))

    assert flip.now.replace("new", "old") == flip.before
    assert "new" in flip.now
    assert (flip.now[0], flip.now[-1], len(flip.now)) == ("…", "…", 602)


def test_forty_flips_are_shown_the_regressed_first():
    results = [replied(f"c{n}", 0.0, "no") for n in range(60)]
    names = [result.case.id for result in results]

    def shown(regressed, fixed):
        found = flips(None, scored(*results), Regressions(tuple(regressed), tuple(fixed)))
        return [(flip.case, flip.regressed) for flip in found]

    assert shown(names[:30], names[30:]) == [(name, name in names[:30]) for name in names[:40]]
    assert shown(names[:50], names[50:]) == [(name, True) for name in names[:40]]
