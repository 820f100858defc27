"""Regressed and fixed cases: their order, what is shown of each, and the slices they are in."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.score_columns import case_result, case_samples, rate_verdict, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.notes import ReplyNote, note
from pytest_ftgate.gates.regressions import (
    Regressions,
    _representative_reply,
    answer_rank,
    fall_names,
    find_regressions,
    flips,
    interleave,
    passage_heads,
    retrieval_notes,
    slice_members,
    slice_names,
    slice_results,
    with_names,
)
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Flip, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.stats.paired import change_interval, p_drop, paired_counts
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def repeated(*scores):
    """Return a result with a reply for each of the *scores*, which says its position."""
    plain = case_result("c", 1.0, "refund")
    return replace(
        plain,
        replies=tuple(Reply(text=str(number)) for number in range(3)),
        scores=tuple(replace(plain.scores[0], correct=score) for score in scores),
    )


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


# --- passages ------------------------------------------------------------------------------------

LOST = [0.0] * 80 + [1.0] * 120


def retrieving(texts: dict[str, str]) -> VariantScores:
    """Make scores of which the first 80 are lost; each case has the passage that it names."""
    rows = {
        key: replace(row, replies=(Reply(text="no", passages=passage(texts.get(key, ""))),))
        for key, row in variant_scores("new", LOST).results.items()
    }
    return VariantScores("new", rows)


def passage(text: str) -> tuple[Passage, ...]:
    return (Passage(source="a.md", text=text),) if text else ()


RIGHT, WRONG = "It is right.", "It is wrong."


@every_row(
    ("texts", "kind", "missed"),
    [
        (
            {"c000": RIGHT, "c001": WRONG},
            "accuracy",
            [note(ReplyNote.NOT_RETRIEVED, count=79, of=80)],
        ),
        ({f"c{n:03}": RIGHT for n in range(80)}, "accuracy", []),
        ({}, "accuracy", []),
        ({"c000": WRONG}, "format", []),
    ],
)
def test_regressed_cases_without_the_answer_in_a_passage_are_counted(texts, kind, missed):
    verdict = compared_with_right(retrieving(texts), kind)

    assert [one for one in verdict.notes if one.kind == ReplyNote.NOT_RETRIEVED] == missed


def compared_with_right(scores, kind="accuracy"):
    gate = RateGate(kind=kind, line=7, max_drop=0.05)
    return rate_verdict(gate, scores, variant_scores("current", [1.0] * 200))


def test_only_regressed_cases_that_expect_something_are_counted():
    found = retrieving({"c000": WRONG})
    unknown = found.results["c001"]
    rows = {**found.results, "c001": replace(unknown, case=replace(unknown.case, expected=None))}
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)

    notes = retrieval_notes(gate, VariantScores("new", rows), ["c000", "c001", "c002"])

    assert [*notes] == [note(ReplyNote.NOT_RETRIEVED, count=2, of=2)]


def with_passages(*passages: Passage) -> CaseResult:
    (result,) = variant_scores("new", [1.0]).results.values()
    return replace(result, replies=(Reply(text="no", passages=passages), Reply(text="no")))


def test_the_heads_of_passages_are_those_of_the_first_reply():
    found = with_passages(
        Passage(source="a.md", text="x" * 200), Passage(source="", text="no source: here")
    )

    assert passage_heads(found) == ("a.md: " + "x" * 114, "no source: here")
    assert passage_heads(replace(found, replies=())) == ()


def test_the_rank_of_the_answer_is_that_of_the_first_passage_with_it():
    passages = ["nothing", "it is right", "so right"]
    found = with_passages(*(Passage(source="a.md", text=text) for text in passages))

    unknown = replace(found, case=replace(found.case, expected=None))
    missing = replace(found, replies=(), scores=())

    cases = (found, with_passages(), unknown, missing)
    assert [answer_rank(one) for one in cases] == [2, 0, None, None]


# --- slices --------------------------------------------------------------------------------------


def made_case(**changes):
    return Case(**{"id": "c1", "location": "c.jsonl:1", "score": Rule("exact"), **changes})


@every_row(
    ("changes", "kind", "names"),
    [
        ({"tags": ("a", "b")}, "tag", ("a", "b")),
        ({"expected": ["a", "b"]}, "label", ["a"]),
        ({"expected": ["a", 2], "score": Rule("labels")}, "label", ["a", "2"]),
        ({"expected": 7}, "label", ["7"]),
        ({"expected": {"name": "lookup", "arguments": {"id": "17"}}}, "label", ["lookup"]),
        ({}, "label", []),
        ({"expected": {"arguments": {}}}, "label", []),
        ({"expected": {"name": "a"}, "score": Rule("fields")}, "label", []),
        ({"difficulty": 0}, "difficulty", ["0"]),
        ({}, "difficulty", []),
        ({"language": "en", "skill": "logic"}, "language", ["en"]),
        ({"language": "en", "skill": "logic"}, "skill", ["logic"]),
        ({"skill": "logic"}, "language", []),
    ],
)
def test_a_case_is_in_the_slices_of_its_kinds(changes, kind, names):
    assert slice_names(made_case(**changes), kind) == names


def test_the_members_of_slices_are_the_ids_of_their_cases():
    cases = [made_case(id="a", tags=("x", "y"), language="en"), made_case(id="b", tags=("y",))]

    assert slice_members(cases, iter(["tag", "language"])) == {
        ("tag", "x"): {"a"},
        ("tag", "y"): {"a", "b"},
        ("language", "en"): {"a"},
    }


def column(values, groups=None):
    return case_samples(values, groups=groups and [n % groups for n in range(len(values))])


def part(*numbers):
    return {f"c{n}" for n in numbers}


def test_each_slice_has_the_figures_of_its_answered_cases():
    """Of two tested slices, Holm doubles the smaller p-value."""
    before = [1.0] * 60 + [None, 1.0]
    after = [0.0] * 12 + [1.0] * 48 + [1.0, None]
    members = {
        ("tag", "still"): part(*range(30, 60)),
        ("tag", "unanswered"): part(60, 61),
        ("language", "en"): part(*range(30), 60, 61),
    }

    found = slice_results(column(before), column(after), members, margin=0.2, levels=Levels())

    lost = paired_counts([1.0] * 30, [0.0] * 12 + [1.0] * 18)
    same = paired_counts([1.0] * 30, [1.0] * 30)
    lows, highs = zip(*(change_interval(pairs, 0.95) for pairs in (lost, same)), strict=True)
    assert found == (
        Slice(
            kind="language", name="en", n=30, before=1.0, after=0.6, low=lows[0], high=highs[0],
            p_drop=2 * p_drop(lost), state="regressed", p_alone=p_drop(lost), named="clearly",
            regressed=12,
        ),
        Slice(
            kind="tag", name="still", n=30, before=1.0, after=1.0, low=lows[1], high=highs[1],
            p_drop=1.0, state="kept", p_alone=1.0,
        ),
    )  # fmt: skip


def test_variants_without_a_shared_case_have_no_slices():
    before, after = column([1.0]), samples_from_cases({"other": CaseSample(1.0, 1, "")})
    members = {("tag", "a"): {"c0", "other"}}

    assert slice_results(before, after, members, margin=0.1, levels=Levels()) == ()


@every_row(
    ("p_values", "names"),
    [
        # Holm takes the smallest of three at a third of 0.05, and the next one at a half.
        ((0.0166, 0.0249, 1.0), ["clearly", "clearly", ""]),
        ((0.0167, 0.0249, 1.0), ["perhaps", "perhaps", ""]),
        ((0.0166, 0.0251, 0.025), ["clearly", "", "clearly"]),
        # Alone it is at 0.05, and yet its interval must hold no change.
        ((0.025,), ["clearly"]),
        ((0.026,), [""]),
        ((), []),
    ],
)
def test_a_part_clearly_fell_by_holm_and_perhaps_if_its_own_interval_lies_below_no_change(
    p_values, names
):
    assert fall_names(p_values, 0.05) == names


@every_row(
    ("count", "groups", "can_be", "named"),
    [
        (1, None, False, ""),
        (2, None, True, ""),
        (4, None, True, ""),
        (5, None, True, "clearly"),
        (90, 9, False, ""),
        (90, 10, True, "clearly"),
    ],
)
def test_a_slice_below_two_cases_or_ten_groups_is_never_named(count, groups, can_be, named):
    before, after = (column([value] * count, groups) for value in (1.0, 0.0))
    members = {("tag", "a"): part(*range(count))}
    (found,) = slice_results(before, after, members, margin=0.1, levels=Levels())

    assert (found.p_alone is not None, found.named) == (can_be, named)


def test_only_parts_that_can_be_named_are_corrected_for():
    slices = slice_results(
        column([1.0] * 20), column([0.0] * 6 + [1.0] * 14), {("tag", "a"): part(*range(20))},
        margin=0.1, levels=Levels(),
    )  # fmt: skip
    unnamed, unchanged = (replace(slices[0], named="", p_alone=p) for p in (None, 1.0))

    def names(others):
        return [part.named for part in with_names([*slices, *others], 0.05)]

    assert names([unnamed] * 6) == ["clearly", *[""] * 6]
    assert names([unchanged] * 6) == ["perhaps", *[""] * 6]


def state(lost, count, margin, groups=None, **levels):
    sides = ([1.0] * count, [0.0] * lost + [1.0] * (count - lost))
    (found,) = slice_results(
        *(column(side, groups) for side in sides), {("tag", "a"): part(*range(count))},
        margin=margin, levels=Levels(**levels),
    )  # fmt: skip
    return found.state


#: The chance of a drop of 5 of 20 cases.
P = p_drop(paired_counts([1.0] * 20, [0.0] * 5 + [1.0] * 15))


@every_row(
    ("given", "levels", "found"),
    [
        ((19, 200, 0.1), {}, "inconclusive"),
        ((20, 200, 0.1), {}, "regressed"),
        ((2, 200, 0.1), {}, "kept"),
        ((5, 20, 0.25), {"alarm": P}, "regressed"),
        ((5, 20, 0.25), {"alarm": P * 0.999}, "inconclusive"),
        ((0, 59, 0.05), {}, "kept"),
        ((0, 59, 0.05), {"miss": 0.01}, "inconclusive"),
        # Related cases take ten groups.
        ((0, 200, 0.4, 9), {}, "inconclusive"),
        ((0, 200, 0.4, 10), {}, "kept"),
    ],
)
def test_a_slice_regresses_if_a_real_drop_reaches_the_limit_and_is_kept_if_none_can(
    given, levels, found
):
    assert state(*given, **levels) == found
