from collections.abc import Sequence

import pytest
from ftgate_testing.notes import kinds

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.verdict import Check, Outcome


def side(values: Sequence[float | None], name: str, *, groups: int | None = None) -> Samples:
    return samples_from_cases(
        {
            f"case-{i}": CaseSample(
                value, 1, f"{name}-{i}", None if groups is None else f"group-{i % groups}"
            )
            for i, value in enumerate(values)
        }
    )


def compared(before: Sequence[float | None], after: Sequence[float | None], **rule) -> Check:
    given = {"against": "current", "margin": 0.05, "levels": Levels(), **rule}
    return check_drop(side(before, "b"), side(after, "a"), DropRule(**given))


def scores(right: int, wrong: int) -> list[float | None]:
    return [1.0] * right + [0.0] * wrong


def test_a_clear_loss_fails_and_counts_what_regressed() -> None:
    check = compared(scores(90, 10), scores(60, 40))

    assert check.outcome is Outcome.FAILED
    assert (check.regressed, check.fixed, check.n) == (30, 0, 100)
    assert check.change == pytest.approx(-0.30)
    assert check.low < -0.30 < check.high < 0


def test_equal_results_on_enough_cases_pass() -> None:
    assert compared(scores(180, 20), scores(180, 20)).outcome is Outcome.PASSED


def test_equal_results_on_few_cases_tell_nothing_and_say_how_many_are_missing() -> None:
    check = compared(scores(18, 2), scores(18, 2))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.needed > 0
    assert check.certifiable > 0.05


def test_the_same_requests_and_replies_pass_however_few_they_are() -> None:
    once = side(scores(4, 1), "same")

    check = check_drop(once, once, DropRule(against="accepted", margin=0.05, levels=Levels()))

    assert (check.outcome, check.is_unchanged) == (Outcome.PASSED, True)


@pytest.mark.parametrize(("missing", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_the_same_requests_pass_as_unchanged_unless_too_many_brought_no_reply(
    missing: int, outcome: Outcome
) -> None:
    once = side([*scores(100 - missing, 0), *[None] * missing], "same")

    check = check_drop(once, once, DropRule(against="current", margin=0.15, levels=Levels()))

    assert check.outcome is outcome
    assert check.is_unchanged is (outcome is Outcome.PASSED)
    assert check.missing == missing


def test_a_real_drop_within_the_margin_passes_and_is_named() -> None:
    check = compared(scores(4000, 0), scores(3960, 40))

    assert check.outcome is Outcome.PASSED
    assert check.notes == (note(NoteKind.SMALL_DROP),)


@pytest.mark.parametrize("known", [0, 1])
def test_without_two_cases_there_is_nothing_to_compare(known: int) -> None:
    check = compared(scores(known, 0), scores(known, 0))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.n == known


def test_a_few_missing_replies_leave_a_clear_verdict_standing() -> None:
    after: list[float | None] = [*scores(100, 96), None, None, None, None]

    check = compared(scores(200, 0), after)

    assert check.outcome is Outcome.FAILED
    assert check.missing == 4


def test_missing_replies_that_could_turn_the_verdict_leave_it_inconclusive() -> None:
    before: list[float | None] = scores(60, 0)
    after: list[float | None] = [*scores(57, 0), None, None, None]

    check = compared(before, after)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.notes == (note(NoteKind.MISSING_COULD_TURN, missing=3, of=60),)


def test_too_many_missing_replies_never_pass_or_fail() -> None:
    after: list[float | None] = [*scores(90, 0), *[None] * 10]

    assert compared(scores(100, 0), after).outcome is Outcome.INCONCLUSIVE


def test_replies_missing_on_one_side_alone_leave_the_verdict_inconclusive() -> None:
    after: list[float | None] = [*scores(970, 0), *[None] * 30]

    check = compared(scores(1000, 0), after)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.notes == (note(NoteKind.MISSING_UNEVENLY, missing=30, of=1000),)


def test_fewer_than_ten_groups_show_nothing() -> None:
    before, after = (side(scores(100, 0), name, groups=5) for name in "ba")

    check = check_drop(before, after, DropRule(against="current", margin=0.05, levels=Levels()))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.notes == (note(NoteKind.FEW_GROUPS, n=5, needed=10),)


def test_ten_groups_are_enough_to_fail() -> None:
    before, after = side(scores(100, 0), "b", groups=10), side(scores(0, 100), "a", groups=10)

    check = check_drop(before, after, DropRule(against="current", margin=0.05, levels=Levels()))

    assert check.outcome is Outcome.FAILED


def test_a_single_case_shows_both_rates_and_nothing_else() -> None:
    check = compared([1.0, None], [0.0, 1.0])

    assert check.outcome is Outcome.INCONCLUSIVE
    assert (check.n, check.missing) == (1, 1)
    assert (check.before, check.after) == (1.0, 0.5)
    assert check.notes == (note(NoteKind.FEW_PAIRS, n=1, of=2),)


def test_where_one_group_holds_most_of_the_cases_and_broke_no_limit_can_be_shown() -> None:
    def grouped(values: Sequence[float], name: str) -> Samples:
        return samples_from_cases(
            {
                f"case-{i}": CaseSample(value, 1, f"{name}-{i}", f"group-{min(i, 9)}")
                for i, value in enumerate(values)
            }
        )

    before, after = grouped([1.0] * 50, "b"), grouped([1.0] * 9 + [0.0] * 41, "a")
    check = check_drop(before, after, DropRule(against="current", margin=0.2, levels=Levels()))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.certifiable is None
    assert kinds(check.notes) == [NoteKind.WHOLE_GROUPS]


def test_cases_that_only_one_side_has_are_left_out() -> None:
    check = check_drop(
        side(scores(100, 0), "b"),
        side(scores(80, 0), "a"),
        DropRule(against="x", margin=0.05, levels=Levels()),
    )

    assert check.n == 80
