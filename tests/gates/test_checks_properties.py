"""What must hold of every verdict, whatever the replies were."""

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.score_columns import case_samples
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.verdict import Outcome

RANK = {Outcome.FAILED: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASSED: 2}
MARGINS = st.sampled_from([0.02, 0.05, 0.10, 0.2])
#: Blocks of cases that are (right before, right after), so that few draws make large suites.
COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) > 1)
REPLIES = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=2, max_size=40)
#: One reply a case, so that half a point is a graded score, or two, of which one is right.
REPEATS = st.sampled_from([1, 2])


def pairs_of(counts):
    both, lost, gained, neither = counts
    return (
        [(1.0, 1.0)] * both + [(1.0, 0.0)] * lost + [(0.0, 1.0)] * gained + [(0.0, 0.0)] * neither
    )


def evaluated(pairs, margin, order=None, **design):
    order = np.arange(len(pairs)) if order is None else np.array(order)
    sides = (
        case_samples([pair[which] for pair in pairs], str(which), **design).at(order)
        for which in (0, 1)
    )
    return check_drop(*sides, DropRule(against="current", margin=margin, levels=Levels()))


#: What else the cases of a suite may have: weights, groups and repeats.
DESIGNS = st.fixed_dictionaries(
    {
        "repeats": REPEATS,
        "weights": st.sampled_from([None, (1.0, 1.0, 5.0) * 120]),
        "groups": st.sampled_from([None, "abcdefghijkl" * 30]),
    }
)


@examples(0.12)
@given(REPLIES, MARGINS, DESIGNS, st.randoms(use_true_random=False))
def test_the_order_of_the_cases_changes_nothing(pairs, margin, design, random):
    order = list(range(len(pairs)))
    random.shuffle(order)

    assert evaluated(pairs, margin, order, **design) == evaluated(pairs, margin, **design)


@examples(0.2)
@given(REPLIES, MARGINS, DESIGNS, st.integers(1, 8))
def test_a_check_fails_only_from_the_limit_on_and_passes_only_before_it(
    pairs, margin, design, copies
):
    check = evaluated(pairs * copies, margin, **design)

    if check.outcome is Outcome.FAILED:
        assert check.change <= -margin + 1e-9
        assert check.drop_is_shown or check.is_beyond
    if check.outcome is Outcome.PASSED:
        assert check.change > -margin
        assert not check.is_beyond


@pytest.mark.slow
@examples(0.12)
@given(COUNTS, MARGINS)
def test_a_gain_more_never_worsens_a_verdict(counts, margin):
    both, lost, gained, neither = counts
    better = (both, lost, gained + 1, max(0, neither - 1))

    before = evaluated(pairs_of(counts), margin)
    after = evaluated(pairs_of(better), margin)

    # A baseline within the margin of chance decides nothing, and a gain may make it one.
    if before.informative and after.informative:
        assert RANK[after.outcome] >= RANK[before.outcome]


@pytest.mark.slow
@examples(0.12)
@given(COUNTS, st.tuples(MARGINS, MARGINS))
def test_a_larger_margin_never_turns_passed_into_something_else(counts, margins):
    narrow, wide = (evaluated(pairs_of(counts), margin) for margin in sorted(margins))

    if narrow.outcome is Outcome.PASSED and wide.informative:
        assert wide.outcome is Outcome.PASSED
