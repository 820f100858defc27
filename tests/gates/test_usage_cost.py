from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ftgate_testing.score_columns import suite, variant_scores, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import FigureError
from pytest_ftgate.gates.case_cost import CostBound, cost_bound, longest_reply
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.usage import evaluate_cost, interval_outcome, measure_cost
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import BoundedRatio, mean_interval
from pytest_ftgate.suite.gate_kinds import CostGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.prices import Tariff

#: A token written costs a millionth of a dollar, so a thousand requests that write n cost n / 1000.
#: Replies have 1,024 tokens at most, so a thousand requests cost 1.024 USD at most.
BY_TOKENS = Tariff(per_1m_input=0.0, per_1m_output=1.0)
LIMIT = CostGate(line=1, max_usd_per_1k=0.5)
RISE = CostGate(line=1, max_rise=0.1)


def written(variant: str, tokens: Sequence[int | None], groups: int | None = None) -> VariantScores:
    """Make scores whose replies have so many *tokens*; None for one that did not come."""
    plain = variant_scores(variant, [1.0] * len(tokens))
    rows = {}
    for i, ((key, row), count) in enumerate(zip(plain.results.items(), tokens, strict=True)):
        case = replace(row.case, group=None if groups is None else f"g{i % groups}")
        replies = (Reply(text="refund", usage={"output": count or 0}),)
        rows[key] = replace(row, case=case, replies=replies, fingerprints=(f"{key} {variant}",))
    gone = [key for key, count in zip(plain.results, tokens, strict=True) if count is None]
    return without_replies(VariantScores(variant, rows), gone)


def of(gate: CostGate, keys: Mapping[str, Any] | None = None, **tariffs: Tariff) -> Suite:
    made = suite(gate)
    variants = {
        name: replace(one, tariff=tariffs.get(name, BY_TOKENS), **(keys or {}))
        for name, one in made.variants.items()
    }
    return replace(made, variants=variants)


def evaluated(gate, after, before=None, groups=None, keys=None, **tariffs):
    mine = written("new", after, groups)
    theirs = written("current", before if before is not None else after, groups)
    return evaluate_cost(of(gate, keys, **tariffs), gate, mine, theirs)


#: A variant whose replies nothing limits.
RECORDED = {"provider": "recorded"}


def drawn(mean: float, n: int = 100, spread: float = 100.0) -> list[int]:
    """Draw tokens whose own mean is *mean*."""
    found = np.random.default_rng(7).normal(0.0, spread, n)
    return [round(one) for one in mean + found - found.mean()]


def test_the_interval_of_a_rise_is_that_of_the_ratio_of_the_sums_of_groups():
    rng = np.random.default_rng(2)
    before, after = (rng.lognormal(5.5, 0.3, 90).round().astype(int) for _ in range(2))

    check = evaluated(RISE, after.tolist(), before.tolist(), groups=45).check

    sums = [np.bincount(np.arange(90) % 45, side) for side in (after, before)]
    low, high = BoundedRatio(*sums, 2.0, 1024.0, (0.0, 1024.0)).interval(0.95)
    assert (check.low, check.high) == pytest.approx((low - 1, high - 1))
    assert check.effective == 45


@every_row("groups", [None, 60])
def test_a_case_is_named_that_holds_more_than_a_tenth_of_the_cost(groups):
    # 120 cases cost 100 each, and one of them 1,500 more.
    tokens = [100] * 119 + [1600]
    kind, others = (NoteKind.LARGE_CASE, 0) if groups is None else (NoteKind.LARGE_GROUP, 100)

    keys = {"max_tokens": 2000}
    notes = evaluated(LIMIT, tokens, groups=groups, keys=keys).notes

    assert notes[0] == note(kind, share=pytest.approx((1600 + others) / sum(tokens)))
    assert evaluated(LIMIT, [100] * 119 + [1000], groups=groups).notes == ()
    # All of these prices are exact: 90 cases cost 0.125, and one of them 1.25.
    assert evaluated(LIMIT, [125] * 90 + [1250], keys=keys).notes == ()


def test_a_price_of_nothing_holds_a_limit_and_leaves_a_rise_open_and_the_baseline_has_no_rise():
    free = Tariff(per_1m_input=0.0, per_1m_output=0.0)

    verdict = evaluated(RISE, drawn(400), current=free)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes == (note(NoteKind.FREE_BASELINE, baseline="current"),)
    assert (verdict.check.before, verdict.check.rise) == (0.0, None)
    assert verdict.next == (NextStep(StepKind.DECLARE_LIMIT, {"where": "suite.ftgate.yaml:1"}),)

    verdict = evaluated(RISE, drawn(400), current=Tariff())

    assert (verdict.check.n, verdict.check.informative) == (0, True)

    verdict = evaluated(LIMIT, drawn(400), new=free)

    assert (verdict.outcome, verdict.check.after, verdict.notes) == (Outcome.PASSED, 0.0, ())

    mine = written("current", drawn(400))

    verdict = evaluate_cost(of(RISE), RISE, mine, mine)

    assert (verdict.outcome, verdict.checks) == (Outcome.PASSED, ())


@every_row(("n", "groups"), [(299, None), (600, 299)])
def test_without_a_most_that_a_case_can_cost_few_unrelated_cases_conclude_nothing(n, groups):
    verdict = evaluated(LIMIT, drawn(400, n), groups=groups, keys=RECORDED)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    kind = NoteKind.FEW_CASES if groups is None else NoteKind.FEW_GROUPS
    assert verdict.notes == (note(kind, n=299, needed=300),)
    # The interval is within the limit already, so that a tighter one would not pass.
    told = {"needed": 300, "where": "suite.ftgate.yaml:1"}
    assert verdict.next == (NextStep(StepKind.BOUND_COST, told),)


def test_from_three_hundred_unrelated_cases_on_their_own_interval_decides():
    tokens = drawn(400, 300)

    check = evaluated(LIMIT, tokens, keys=RECORDED).check

    assert (check.outcome, check.method) == (Outcome.PASSED, "t")
    assert (check.low, check.high) == pytest.approx(mean_interval(np.array(tokens) / 1000, 0.95))


#: 3 USD for a thousand requests.
DECLARED = replace(LIMIT, max_cost_per_case=0.003)


@every_row(
    ("gate", "keys", "most"),
    [
        (LIMIT, {}, 1.024), (DECLARED, RECORDED, 3.0), (DECLARED, {"max_tokens": 4000}, 3.0),
        (DECLARED, {}, 1.024),
    ],
)  # fmt: skip
def test_the_interval_adds_a_case_that_cost_the_most_that_one_can(gate, keys, most):
    check = evaluated(gate, [100] * 60, keys=keys).check

    # All of 60 equal prices below a limit L: ((most - L) / (most - price))^60 is at most 0.025.
    assert check.high == pytest.approx(most - (most - 0.1) * 0.025 ** (1 / 60))
    assert (check.method, check.after) == ("bounded", pytest.approx(0.1))


def test_replies_that_are_all_cut_off_cost_the_most_that_they_can():
    # The mean of these prices rounds to just above the price of each.
    check = evaluated(LIMIT, [300] * 60, keys={"max_tokens": 300}).check

    assert (check.outcome, check.high) == (Outcome.PASSED, pytest.approx(0.3))


def test_what_a_server_writes_beyond_max_tokens_is_bounded_by_what_is_declared():
    check = evaluated(DECLARED, [100] * 59 + [1025]).check

    assert check.high == evaluated(DECLARED, [100] * 59 + [1025], keys=RECORDED).check.high


def test_a_most_is_that_of_the_longest_prompt_in_its_dearest_kind_of_tokens():
    dear = Tariff(per_1m_input=2.0, per_1m_output=1.0, per_1m_cached=0.1)
    mine = written("new", [100] * 60)
    rows = {
        key: replace(row, replies=(Reply(text="a", usage={"cache_read": 50 + i, "output": 100}),))
        for i, (key, row) in enumerate(mine.results.items())
    }
    made = of(LIMIT, new=dear)
    bound = cost_bound(made, made.variants["new"], VariantScores("new", rows))

    # 109 tokens read at 2 USD a million, and 1,024 written at 1 USD.
    assert bound == CostBound(most=pytest.approx(0.218 + 1.024), max_tokens=1024, prompt=109)


@every_row(
    ("keys", "longest"),
    [
        ({}, 1024), ({"max_tokens": 90}, 90), ({"tools": ("m:f",)}, 0), (RECORDED, 0),
        ({"provider": "python"}, 0),
    ],
)  # fmt: skip
def test_only_what_a_server_is_sent_limits_its_replies(keys, longest):
    made = of(LIMIT, keys)

    assert longest_reply(made, made.variants["new"]) == longest


def test_a_case_that_cost_more_than_one_can_is_an_error_that_says_so():
    tokens = [100] * 59 + [2000]

    with pytest.raises(FigureError) as told:
        evaluated(LIMIT, tokens)
    values = {"case": "c059", "usd": 0.002, "most": pytest.approx(0.001024), "max_tokens": 1024}
    values["where"] = "suite.ftgate.yaml:1"
    assert told.value.note == note(NoteKind.ABOVE_MOST, **values)
    with pytest.raises(FigureError):
        evaluated(replace(LIMIT, max_cost_per_case=0.001), tokens)
    assert evaluated(replace(LIMIT, max_cost_per_case=0.002), tokens).check.n == 60
    assert evaluated(replace(LIMIT, evidence="point"), tokens).check.n == 60
    assert [*measure_cost(of(LIMIT), LIMIT, written("new", tokens))] != []


@every_row(("mean", "outcome"), [(500, Outcome.PASSED), (501, Outcome.FAILED)])
def test_a_plain_threshold_decides_by_the_number_alone(mean, outcome):
    gate = replace(LIMIT, evidence="point")

    verdict = evaluated(gate, [mean] * 5, keys=RECORDED)

    assert (verdict.outcome, verdict.notes) == (outcome, ())
    assert "and 0.50 USD is allowed, without an allowance for chance" in " ".join(explain(verdict))


@every_row("n", [100, 5])
def test_a_plain_threshold_offers_the_limit_that_its_number_passes(n):
    gate = replace(LIMIT, max_rise=0.2, evidence="point")
    after, before = [503] * n, [400] * n

    verdict = evaluated(gate, after, before, keys=RECORDED)

    offered = {"max_usd_per_1k": 0.503, "max_rise": 0.26}
    assert verdict.next[-1].values["setting"] == "max_rise: 0.26, max_usd_per_1k: 0.503"
    passing = evaluated(replace(gate, **offered), after, before, keys=RECORDED)
    assert (verdict.outcome, passing.outcome) == (Outcome.FAILED, Outcome.PASSED)


@every_row(("flat", "outcome"), [(0.4, Outcome.PASSED), (0.6, Outcome.FAILED)])
def test_a_flat_price_is_known_and_needs_no_cases(flat, outcome):
    verdict = evaluated(LIMIT, [1, *[None] * 9], new=Tariff(per_1k=flat))

    assert (verdict.outcome, verdict.check.low, verdict.check.high) == (outcome, flat, flat)
    told = " ".join(explain(verdict))
    assert f"is {flat:.2f} USD, and 0.50 USD is allowed" in told
    assert "CI" not in told


def with_runs(scores: VariantScores, usd: float | None) -> VariantScores:
    """Make *scores* of runs that state a cost of *usd*."""
    run = RunFacts(cost_usd=usd)
    rows = {
        key: replace(row, replies=tuple(replace(one, run=run) for one in row.replies))
        for key, row in scores.results.items()
    }
    return VariantScores(scores.variant, rows)


@every_row("tariff", [BY_TOKENS, Tariff(per_1k=0.4), Tariff()])
def test_what_runs_state_of_their_cost_comes_before_each_declared_price(tariff):
    gate = replace(LIMIT, evidence="point")
    runs = with_runs(written("new", [400] * 20), 0.002)

    verdict = evaluate_cost(of(gate, RECORDED, new=tariff), gate, runs, runs)

    assert (verdict.outcome, verdict.check.after) == (Outcome.FAILED, 2.0)


def test_runs_that_state_their_cost_have_no_flat_price_and_no_longest_reply():
    runs = with_runs(written("new", [400] * 20), 0.0001)

    verdict = evaluate_cost(of(LIMIT, new=Tariff(per_1k=0.4)), LIMIT, runs, runs)

    assert (verdict.outcome, verdict.check.high) == (Outcome.INCONCLUSIVE, None)
    declared = replace(LIMIT, max_cost_per_case=0.0002)
    assert cost_bound(of(declared), of(declared).variants["new"], runs) == CostBound(most=0.2)


def test_runs_without_a_cost_and_a_price_are_asked_to_state_it():
    runs = with_runs(written("new", [400] * 20), None)

    verdict = evaluate_cost(of(LIMIT, new=Tariff()), LIMIT, runs, runs)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    gap = {"n": 20, "of": 20, "allowed": 0.05, "unit": "usd", "variant": "new"}
    assert verdict.notes == (note(NoteKind.UNKNOWN_RUNS, **gap),)
    assert [step.kind for step in verdict.next] == [StepKind.STATE_AMOUNT]
    assert "20 of 20 runs of new lack a cost" in note_text(verdict.notes[0])
    assert step_line(verdict.next[0]).startswith("state cost_usd of 20 runs")


def test_plain_replies_that_count_their_tokens_are_asked_for_a_price_and_for_no_cost_of_a_run():
    verdict = evaluated(LIMIT, [400] * 20, keys=RECORDED, new=Tariff())

    assert verdict.notes == (note(NoteKind.NO_TARIFF, variant="new"),)
    (step,) = verdict.next
    assert (step.kind, step.values["counted"]) == (StepKind.DECLARE_PRICE, True)


def test_a_baseline_whose_runs_state_no_cost_is_the_one_that_is_asked_to():
    runs = with_runs(written("new", [400] * 20), 0.0004)
    before = with_runs(written("current", [400] * 20), None)
    made = replace(
        of(RISE, RECORDED, new=Tariff(), current=Tariff()), places={"variants.current": "s.yaml:4"}
    )

    verdict = evaluate_cost(made, RISE, runs, before)

    assert [(one.kind, one.values["variant"]) for one in verdict.notes] == [
        (NoteKind.UNKNOWN_RUNS, "current")
    ]
    (step,) = verdict.next
    assert (step.kind, step.values["where"]) == (StepKind.STATE_AMOUNT, "s.yaml:4")


@every_row("limit", [0.43, 0.6])
def test_as_many_runs_without_a_cost_as_may_lack_it_hide_no_step(limit):
    gate = replace(LIMIT, max_usd_per_1k=limit, max_cost_per_case=0.002)
    tokens = drawn(390, 90)
    rows = {
        key: replace(row, replies=(replace(row.replies[0], run=RunFacts(cost_usd=usd)),))
        for (key, row), usd in zip(
            written("new", tokens).results.items(), [None, *(n / 1e6 for n in tokens[1:])],
            strict=True,
        )
    }  # fmt: skip
    runs = VariantScores("new", rows)

    verdict = evaluate_cost(of(gate, RECORDED, new=Tariff()), gate, runs, runs)

    assert verdict.check.missing == 1
    kinds = {NoteKind.UNKNOWN_RUNS, NoteKind.UNPRICED}
    assert [one for one in verdict.notes if one.kind in kinds] == []
    steps = [step.kind for step in verdict.next]
    assert steps == {0.43: [StepKind.ADD_CASES], 0.6: []}[limit]


@every_row(("gone", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_above_five_in_a_hundred_missing_replies_leave_it_inconclusive(gone, outcome):
    verdict = evaluated(LIMIT, [*drawn(400)[gone:], *[None] * gone])

    assert verdict.outcome is outcome
    assert note(NoteKind.NO_PRICE, n=gone, first="gone") in verdict.notes
    unpriced = note(NoteKind.UNPRICED, n=gone, of=100, allowed=0.05)
    assert (unpriced in verdict.notes) is (outcome is not Outcome.PASSED)
    again = NextStep(StepKind.RUN_AGAIN, {"missing": gone, "suite": "suite.ftgate.yaml"})
    assert verdict.next == (() if outcome is Outcome.PASSED else (again,))


@every_row("n", [300, 20])
def test_a_plain_threshold_asks_for_missing_prices_and_for_no_number_of_cases(n):
    gate, gone = replace(LIMIT, evidence="point"), n // 10

    verdict = evaluated(gate, [*drawn(400, n)[gone:], *[0] * gone], keys=RECORDED)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes == (
        note(NoteKind.UNPRICED, n=gone, of=n, allowed=0.05),
        note(NoteKind.NO_TOKENS, n=gone, of=n, variant="new"),
    )


def test_replies_that_tell_no_tokens_are_noted_before_missing_ones_and_never_free():
    verdict = evaluated(LIMIT, [0] * 100)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.check.n == 0

    tokens = [*drawn(400, 96), 0, 0, None, None]
    verdict = evaluated(LIMIT, tokens)

    assert verdict.check.missing == 4
    assert verdict.notes == (
        note(NoteKind.NO_TOKENS, n=2, of=98, variant="new"),
        note(NoteKind.NO_PRICE, n=2, first="gone"),
    )


def test_an_ungated_variant_is_told_its_price_if_it_has_one_and_not_evaluated():
    (beside,) = measure_cost(of(LIMIT, RECORDED), LIMIT, written("new", [600] * 20))

    price = Check(
        kind=CheckKind.MEAN, outcome=Outcome.PASSED, limit=0.0, n=20, effective=20,
        after=pytest.approx(0.6), unit="usd", method="t",
        notes=(note(NoteKind.FEW_CASES, n=20, needed=300),),
    )  # fmt: skip
    assert beside == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="cost", variant="new", outcome=Outcome.PASSED,
        statement=Statement(StatementKind.UNGATED), gated=False, checks=(price,),
    )  # fmt: skip
    assert headline(beside).startswith("0.60 USD")

    assert list(measure_cost(of(LIMIT, new=Tariff()), LIMIT, written("new", [6] * 20))) == []


# The whole result ----------------------------------------------------------------------------


@every_row(
    ("low", "high", "outcome"),
    [
        (0.1, 0.5, Outcome.PASSED),
        (0.1, 0.51, Outcome.INCONCLUSIVE),
        (0.5, 0.6, Outcome.INCONCLUSIVE),
        (0.51, 0.6, Outcome.FAILED),
        (None, 0.4, Outcome.PASSED),
        (None, 0.6, Outcome.INCONCLUSIVE),
        (0.6, None, Outcome.FAILED),
        (0.4, None, Outcome.INCONCLUSIVE),
        (None, None, Outcome.INCONCLUSIVE),
    ],
)
def test_an_amount_may_equal_its_limit_and_an_unknown_bound_proves_nothing(low, high, outcome):
    assert interval_outcome(low, high, 0.5) is outcome


def test_a_broken_limit_is_reported_with_its_figures_and_the_limit_that_these_replies_keep():
    tokens = drawn(600)

    verdict = evaluated(LIMIT, tokens)

    costs = np.array(tokens) / 1000
    low, high = BoundedRatio(costs, np.ones(100), 1.0, 1.024, (1.0, 1.0)).interval(0.95)
    price = Check(
        kind=CheckKind.MEAN, outcome=Outcome.FAILED, limit=0.5, n=100, effective=100,
        after=pytest.approx(np.mean(tokens) / 1000), low=pytest.approx(low),
        high=pytest.approx(high), unit="usd", method="bounded",
    )  # fmt: skip
    assert 0.623 < high < 0.624
    assert verdict == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="cost", variant="new", outcome=Outcome.FAILED,
        statement=Statement(StatementKind.USAGE), checks=(price,),
        next=(NextStep(StepKind.LOWER_USAGE), limit_to("max_usd_per_1k: 0.624")),
    )  # fmt: skip


def limit_to(setting: str) -> NextStep:
    return NextStep(StepKind.SET_LIMIT, {"setting": setting, "where": "suite.ftgate.yaml:1"})


def test_a_rise_is_reported_with_both_prices():
    before, after = drawn(400), [2 * one for one in drawn(400)]

    (check,) = evaluated(RISE, after, before, keys={"max_tokens": 2000}).checks

    costs = (np.array(side) / 1000 for side in (after, before))
    low, high = BoundedRatio(*costs, 1.0, 2.0, (0.0, 2.0)).interval(0.95)
    assert check == Check(
        kind=CheckKind.BASELINE, against="current", outcome=Outcome.FAILED, limit=0.1, n=100,
        effective=100, before=pytest.approx(np.mean(before) / 1000),
        after=pytest.approx(np.mean(after) / 1000), rise=pytest.approx(1.0),
        low=pytest.approx(low - 1), high=pytest.approx(high - 1), unit="usd", method="bounded",
    )  # fmt: skip


def test_a_rise_and_a_limit_that_are_broken_together_are_raised_in_one_step():
    gate = CostGate(line=1, max_usd_per_1k=0.5, max_rise=0.3)

    verdict = evaluated(gate, [1, 1], new=Tariff(per_1k=0.61), current=Tariff(per_1k=0.4))

    assert verdict.checks[1].rise == pytest.approx(0.525)
    assert verdict.deciding == 1
    assert verdict.next == (
        NextStep(StepKind.LOWER_USAGE),
        limit_to("max_rise: 0.53, max_usd_per_1k: 0.61"),
    )


def test_a_rise_of_a_flat_price_over_one_by_tokens_is_not_exact():
    check = evaluated(RISE, drawn(400), new=Tariff(per_1k=0.4)).check

    assert check.low < check.rise < check.high


def test_only_the_same_replies_at_the_same_price_are_unchanged():
    same = written("new", [*drawn(400), 400]).results
    sides = VariantScores("new", same), VariantScores("current", same)

    (check,) = evaluate_cost(of(RISE), RISE, *sides).checks

    assert (check.outcome, check.is_unchanged) == (Outcome.PASSED, True)
    assert (check.low, check.high, check.rise) == (0.0, 0.0, 0.0)

    with_gap = written("new", [*drawn(400), None]).results

    other = evaluated(RISE, drawn(400)).check
    gap = evaluate_cost(
        of(RISE), RISE, VariantScores("new", with_gap), VariantScores("current", with_gap)
    ).check

    assert (other.is_unchanged, gap.is_unchanged) == (False, False)
    assert (gap.n, gap.missing) == (100, 1)


def test_replies_that_are_missing_on_either_side_are_missing_from_a_rise():
    verdict = evaluated(RISE, [*drawn(500, 97), 1, 1, None], [*drawn(400, 97), None, 1, 1])

    assert (verdict.check.n, verdict.check.missing, verdict.outcome) == (98, 2, Outcome.FAILED)
    # A limit from these replies would not count those that are missing.
    assert verdict.next == (NextStep(StepKind.LOWER_USAGE),)


def step(verdict: Verdict, kind: StepKind) -> Mapping[str, Any]:
    return next(one.values for one in verdict.next if one.kind is kind)


@every_row(("gate", "seen"), [(LIMIT, 400), (replace(RISE, max_rise=0.5), 480)])
def test_what_a_case_may_have_cost_unseen_is_told_with_two_ways_to_pass_that_do(gate, seen):
    before, keys = [400] * 30, {"max_tokens": 4000}

    verdict = evaluated(gate, [seen] * 30, before, keys=keys)

    check, told = verdict.check, verdict.notes[-1]
    lower, more = (step(verdict, kind) for kind in (StepKind.SET_MAX_TOKENS, StepKind.ADD_CASES))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    values = {"max_tokens": 4000, "passing": lower["tokens"], "longest": seen}
    share = pytest.approx(1 - 0.025 ** (1 / 30))
    assert told == note(NoteKind.UNSEEN_COST, most=0.004, **values, share=share)
    assert "max_tokens 4,000 lets a case cost 0.004" in note_text(told)
    assert "and up to 12 % of cases may cost that unseen" in note_text(told)
    # Rounded down to two figures, so that one more of the second no longer passes.
    one_more = lower["tokens"] + 10 ** (len(str(lower["tokens"])) - 2)
    for tokens, outcome in ((lower["tokens"], Outcome.PASSED), (one_more, Outcome.INCONCLUSIVE)):
        keys = {"max_tokens": tokens}
        assert evaluated(gate, [seen] * 30, before, keys=keys).outcome is outcome
    assert more["needed"] == check.needed
    for n, outcome in ((check.needed, Outcome.PASSED), (check.needed - 1, Outcome.INCONCLUSIVE)):
        after, then = [seen] * (30 + n), [400] * (30 + n)
        assert evaluated(gate, after, then, keys={"max_tokens": 4000}).outcome is outcome


def test_no_max_tokens_is_advised_that_would_cut_replies_off_or_that_no_case_obeys():
    tokens, keys = [*[300] * 28, 900, 900], {"max_tokens": 1100}

    verdict = evaluated(LIMIT, tokens, keys=keys)
    assert StepKind.SET_MAX_TOKENS not in [one.kind for one in verdict.next]

    declared = evaluated(replace(LIMIT, max_cost_per_case=0.004), [400] * 30, keys=RECORDED)
    assert declared.notes[-1].values.keys() == {"most", "max_tokens", "share"}
    assert [one.kind for one in declared.next] == [StepKind.ADD_CASES, StepKind.SET_LIMIT]

    made = of(LIMIT, {"max_tokens": 4000})
    cases = tuple(replace(case, max_tokens=4000) for case in written("new", [400]).cases)
    mine = written("new", [400] * 30)
    steps = evaluate_cost(replace(made, cases=cases), LIMIT, mine, mine).next
    assert StepKind.SET_MAX_TOKENS not in [one.kind for one in steps]


def test_two_open_limits_are_passed_by_the_steps_that_pass_both():
    gate, keys = replace(LIMIT, max_rise=0.8), {"max_tokens": 4000}

    verdict = evaluated(gate, [400] * 30, [300] * 30, keys=keys)

    assert [one.outcome for one in verdict.checks] == [Outcome.INCONCLUSIVE] * 2
    # What both say of the unseen cost is the same.
    assert [one.kind for one in verdict.notes] == [NoteKind.UNSEEN_COST]
    more = step(verdict, StepKind.ADD_CASES)["needed"]
    assert more == max(one.needed for one in verdict.checks)
    added = evaluated(gate, [400] * (30 + more), [300] * (30 + more), keys=keys)
    keys = {"max_tokens": step(verdict, StepKind.SET_MAX_TOKENS)["tokens"]}
    lower = evaluated(gate, [400] * 30, [300] * 30, keys=keys)
    assert (added.outcome, lower.outcome) == (Outcome.PASSED, Outcome.PASSED)


def test_no_max_tokens_is_advised_that_leaves_another_limit_open():
    gate, before, keys = replace(LIMIT, max_rise=1.2), [300] * 30, {"max_tokens": 4000}

    # A mean that lies at its limit is shown by no max_tokens.
    verdict = evaluated(gate, [480, 520] * 15, before, keys=keys)

    assert [one.outcome for one in verdict.checks] == [Outcome.INCONCLUSIVE] * 2
    assert ["passing" in one.notes[0].values for one in verdict.checks] == [False, True]
    assert StepKind.SET_MAX_TOKENS not in [one.kind for one in verdict.next]


@every_row(("seen", "narrows"), [(400, True), (480, False)])
def test_a_rise_that_takes_too_many_cases_asks_for_a_lower_most_unless_it_is_past(seen, narrows):
    gate = replace(RISE, max_rise=0.5)

    verdict = evaluated(gate, [seen] * 30, [300] * 30, keys={"max_tokens": 9000})

    (found,) = (one for one in verdict.next if one.kind is not StepKind.SET_LIMIT)
    assert (found.kind, found.values["narrows"]) == (StepKind.DECIDE_OTHERWISE, narrows)


def test_cases_that_would_show_that_the_limit_is_broken_are_told_as_that():
    verdict = evaluated(LIMIT, [520] * 60)

    more = step(verdict, StepKind.ADD_CASES)
    assert (verdict.outcome, more["fails"]) == (Outcome.INCONCLUSIVE, True)
    assert [one.kind for one in verdict.notes] == []
    assert evaluated(LIMIT, [520] * (60 + more["needed"])).outcome is Outcome.FAILED
    assert evaluated(LIMIT, [520] * (59 + more["needed"])).outcome is Outcome.INCONCLUSIVE


def test_no_number_of_cases_is_advised_for_a_mean_that_lies_at_its_limit():
    check = evaluated(LIMIT, [400, 600] * 60).check

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, None)


def test_no_number_of_cases_is_advised_where_nothing_limits_what_a_case_costs():
    check = evaluated(LIMIT, drawn(495, 300), keys=RECORDED).check

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, None)


def test_a_case_counts_by_its_weight_and_its_replies_by_their_mean():
    rows = written("new", drawn(400)).results
    weights = {key: float(i % 3) for i, key in enumerate(rows)}
    weighted = {
        key: replace(
            row,
            case=replace(row.case, weight=weights[key]),
            replies=(*row.replies, Reply(text="refund", usage={"output": 100})),
            scores=row.scores * 2,
        )
        for key, row in rows.items()
    }

    check = evaluate_cost(of(LIMIT), LIMIT, VariantScores("new", weighted), None).check

    weight = np.array([one for one in weights.values() if one])
    prices = np.array([(one + 100) / 2000 for one in drawn(400)])[np.array([*weights.values()]) > 0]
    assert check.n == 66
    assert check.after == pytest.approx(np.average(prices, weights=weight))
    weight = weight / weight.mean()
    ratio = BoundedRatio(prices * weight, weight, weight.max(), 1.024, (1.0, 1.0))
    assert (check.low, check.high) == pytest.approx(ratio.interval(0.95))
