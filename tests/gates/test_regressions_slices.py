"""Slices: the cases of each, its figures, and whether it regressed."""

from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.regressions import slice_members, slice_names, slice_results
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Slice
from pytest_ftgate.stats.paired import change_interval, p_drop, paired_counts
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


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
        ({"language": "en"}, "skill", []),
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


def samples(values, groups=None):
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

    found = slice_results(samples(before), samples(after), members, margin=0.2, levels=Levels())

    lost = paired_counts([1.0] * 30, [0.0] * 12 + [1.0] * 18)
    same = paired_counts([1.0] * 30, [1.0] * 30)
    lows, highs = zip(*(change_interval(pairs, 0.95) for pairs in (lost, same)), strict=True)
    assert found == (
        Slice(
            kind="language", name="en", n=30, before=1.0, after=0.6, low=lows[0], high=highs[0],
            p_drop=2 * p_drop(lost), state="regressed", regressed=12,
        ),
        Slice(
            kind="tag", name="still", n=30, before=1.0, after=1.0, low=lows[1], high=highs[1],
            p_drop=1.0, state="kept",
        ),
    )  # fmt: skip


def test_variants_without_a_shared_case_have_no_slices():
    before, after = samples([1.0]), samples_from_cases({"other": CaseSample(1.0, 1, "")})
    members = {("tag", "a"): {"c0", "other"}}

    assert slice_results(before, after, members, margin=0.1, levels=Levels()) == ()


def state(lost, count, margin, groups=None, **levels):
    sides = ([1.0] * count, [0.0] * lost + [1.0] * (count - lost))
    (found,) = slice_results(
        *(samples(side, groups) for side in sides), {("tag", "a"): part(*range(count))},
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
