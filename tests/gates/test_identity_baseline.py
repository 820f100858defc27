from dataclasses import replace

from ftgate_testing.score_columns import case
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.identity import drift_case_ids, drift_note
from pytest_ftgate.gates.notes import IdentityNote, note
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases


def samples(right, n=40):
    return samples_from_cases(
        {str(i): CaseSample(float(i < right), 1, f"{right}-{i}") for i in range(n)}
    )


def drifted(before, after, cases):
    return note(IdentityNote.BASELINE_DRIFTED, before=before, after=after, cases=cases)


def test_a_tenth_of_many_cases_is_repeated_spread_over_the_file_and_twenty_at_least():
    chosen = drift_case_ids(tuple(case(f"{i:03}") for i in range(500)))

    assert chosen == {f"{i:03}" for i in range(0, 500, 10)}

    assert len(drift_case_ids(tuple(case(f"{i:03}") for i in range(90)))) == 20
    assert len(drift_case_ids(tuple(case(f"{i:03}") for i in range(7)))) == 7


def test_cases_that_have_nothing_to_score_are_not_repeated():
    kinds = [{}, {"expected": None}, {"format": ()}, {"expected": None, "format": ()}]
    cases = tuple(replace(case(f"{i}"), **kind) for i, kind in enumerate(kinds))

    assert drift_case_ids(cases) == {"0", "1", "2"}


@every_row(
    ("before", "after", "told"),
    [
        (36, 30, None),
        (36, 29, drifted(0.9, 0.725, 40)),
        (29, 35, None),
        (29, 36, drifted(0.725, 0.9, 40)),
    ],
)
def test_a_few_flips_are_no_drift_and_more_are_in_either_direction(before, after, told):
    assert drift_note(samples(before), samples(after)) == told


def test_a_score_of_half_counts_as_wrong():
    right, half, better = (
        samples_from_cases({str(i): CaseSample(value, 1, f"{value}") for i in range(40)})
        for value in (1.0, 0.5, 0.6)
    )

    assert drift_note(right, better) is None
    assert drift_note(right, half) == drifted(1.0, 0.0, 40)


def test_cases_without_a_reply_on_one_side_are_not_compared():
    before = samples_from_cases(
        {str(i): CaseSample(None if i < 5 else 1.0, 1, "x") for i in range(40)}
    )
    after = samples_from_cases(
        {str(i): CaseSample(None if i < 8 else 0.0, 1, "x") for i in range(40)}
    )

    assert drift_note(before, after) == drifted(1.0, 0.0, 32)
    assert drift_note(after, before) == drifted(0.0, 1.0, 32)
