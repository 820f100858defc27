from collections.abc import Sequence

from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.verdict import Check, Outcome


def compared(before: Sequence[float | None], after: Sequence[float | None], **rule) -> Check:
    given = {"against": "current", "margin": 0.05, "levels": Levels(), **rule}
    return check_drop(case_samples(before, "b"), case_samples(after, "a"), DropRule(**given))


def scores(right: int, wrong: int) -> list[float | None]:
    return [1.0] * right + [0.0] * wrong


def test_the_same_requests_and_replies_pass_however_few_they_are() -> None:
    once = case_samples(scores(4, 1), "same")

    check = check_drop(once, once, DropRule(against="accepted", margin=0.05, levels=Levels()))

    assert (check.outcome, check.is_unchanged) == (Outcome.PASSED, True)


@every_row(("missing", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_the_same_requests_pass_as_unchanged_unless_too_many_brought_no_reply(
    missing: int, outcome: Outcome
) -> None:
    once = case_samples([*scores(100 - missing, 0), *[None] * missing], "same")

    check = check_drop(once, once, DropRule(against="current", margin=0.15, levels=Levels()))

    assert check.outcome is outcome
    assert check.is_unchanged is (outcome is Outcome.PASSED)
    assert check.missing == missing


def test_a_single_case_and_cases_of_one_side_show_no_drop() -> None:
    check = compared([1.0, None], [0.0, 1.0])

    assert check.outcome is Outcome.INCONCLUSIVE
    assert (check.n, check.missing) == (1, 1)
    assert (check.before, check.after) == (1.0, 0.5)
    assert check.notes == (note(NoteKind.FEW_PAIRS, n=1, of=2),)

    check = check_drop(
        case_samples(scores(100, 0), "b"),
        case_samples(scores(80, 0), "a"),
        DropRule(against="x", margin=0.05, levels=Levels()),
    )

    assert check.n == 80


def test_where_one_group_holds_most_of_the_cases_and_broke_no_limit_can_be_shown() -> None:
    groups = [min(i, 9) for i in range(50)]
    before = case_samples([1.0] * 50, "b", groups=groups)
    after = case_samples([1.0] * 9 + [0.0] * 41, "a", groups=groups)
    check = check_drop(before, after, DropRule(against="current", margin=0.2, levels=Levels()))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.certifiable is None
    assert kinds(check.notes) == [NoteKind.WHOLE_GROUPS]
