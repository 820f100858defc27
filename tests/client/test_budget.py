"""The costs of a run: when a budget stops it, what its report says, and how fast it goes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import (
    Budget,
    CostReport,
    RecentRate,
    cost_report,
    merge_cost_reports,
)
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.reporting.tables import cost_lines, cost_phrase
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step
from pytest_ftgate.suite.prices import Tariff

#: A token written costs a tenth of a cent.
DEAR = Tariff(per_1m_input=0.0, per_1m_output=1000.0)
SPENT = "budget of 1.00 USD (--ftgate-max-usd) reached"


def reply(tokens: int) -> Reply:
    return Reply(text="ok", usage={"output": tokens})


@pytest.fixture
def in_flight():
    return []


@pytest.fixture
def budget(in_flight):
    def made(clock=lambda: 0.0, **limits):
        return Budget(lambda: in_flight, clock, **limits)

    return made


def test_it_stops_once_the_next_call_would_go_beyond_the_limit_and_never_without_one(
    budget, call, in_flight
):
    own, free, one = budget(max_usd=1.0), budget(), call(tariff=DEAR)
    in_flight.append(one)

    for _ in range(3):
        own.record_cost(one, reply(300))
        free.record_cost(one, reply(300))

    assert own.stop_reason() == own.stopped == SPENT
    assert (free.stop_reason(), free.spent) == (None, Decimal("0.9"))


def test_calls_in_flight_count_as_much_as_those_of_their_model_did(budget, call, in_flight):
    own, one = budget(max_usd=1.0), call(tariff=DEAR)
    own.record_cost(one, reply(100))

    in_flight.extend([one] * 9)
    assert own.stop_reason() is None
    in_flight.append(one)
    assert own.stop_reason() == SPENT


def test_before_the_first_reply_a_call_counts_what_it_should_cost_and_a_stop_is_for_good(
    budget, call, in_flight
):
    own = budget(max_usd=1.0)
    # A reply is taken for 100 tokens, unless it may be no longer than 16.
    in_flight.extend([call(tariff=DEAR)] * 62)
    assert own.stop_reason() is None
    in_flight.append(call(tariff=DEAR))
    assert own.stop_reason() == SPENT

    in_flight.clear()

    assert own.stop_reason() == SPENT


def test_calls_without_a_price_do_not_count(budget, call, in_flight):
    own, local = budget(max_usd=0.001), call(tariff=Tariff(local=True))
    in_flight.extend([local] * 50)
    own.record_cost(local, reply(10_000))

    assert own.stop_reason() is None


def test_what_an_agent_states_of_its_cost_is_spent_whatever_the_declared_price(budget, call):
    own, run = budget(max_usd=1.0), RunFacts(cost_usd=1.5)
    for tariff in (CENT, Tariff(local=True)):
        own.record_cost(call(tariff=tariff), replace(reply(1), run=run))

    assert own.spent == Decimal(3)


def test_a_flat_price_is_paid_once_for_all_turns_of_a_call(budget, call):
    own, first = budget(), call(tariff=Tariff(per_1k=1.0))
    turn = replace(first, steps=(Step("", ()),))

    own.record_cost(first, reply(1))
    own.record_cost(turn, reply(1))

    assert own.spent == Decimal("0.001")


@every_row(
    ("typed", "shown"), [(0.9, "0.90"), (5.0, "5.00"), (0.0005, "0.0005"), (1250.0, "1250.00")]
)
def test_the_budget_that_is_reached_is_named_as_money(budget, call, in_flight, typed, shown):
    own = budget(max_usd=typed)
    in_flight.append(call(tariff=Tariff(per_1k=2e6)))

    assert own.stop_reason() == f"budget of {shown} USD (--ftgate-max-usd) reached"


def test_it_stops_when_the_minutes_are_over(budget):
    now = [10.0]
    own = budget(lambda: now[0], max_minutes=2.0)

    now[0] = 129.0
    assert own.stop_reason() is None
    now[0] = 130.0
    assert own.stop_reason() == "budget of 2 minutes (--ftgate-max-minutes) reached"


def test_calls_of_a_batch_are_taken_as_far_as_the_money_goes(budget, call, in_flight):
    own, one = budget(max_usd=1.0), call(tariff=Tariff(per_1k=100.0))
    in_flight.extend([one] * 4)

    assert own.affordable_count([one] * 6) == 6
    assert own.stop_reason() is None
    assert own.affordable_count([one] * 9) == 6
    assert own.stop_reason() == SPENT


def test_a_call_in_a_batch_costs_half_by_rates_of_ones_own_too(budget, call):
    own = budget(max_usd=1.0)
    batched = replace(reply(500), processing="batch")

    own.record_cost(call(tariff=DEAR), batched)
    own.record_cost(call(tariff=Tariff(per_1k=1000.0)), batched)

    assert own.spent == Decimal("0.75")
    assert own.affordable_count([call(tariff=Tariff(per_1k=100.0), batch=True)] * 9) == 5


# The report ---------------------------------------------------------------------------------------

CENT = Tariff(per_1k=10.0)
REPLY = Reply(text="ok")


def exchanges(call, *texts, tariff=CENT, **changes):
    return [(call(text, tariff=tariff, **changes), REPLY) for text in texts]


def test_a_reply_that_two_variants_share_is_paid_by_the_first(call):
    parts = [("one", exchanges(call, "a", "b")), ("two", exchanges(call, "b", "c"))]
    report = cost_report(0.0, parts)

    assert report.variants == {"one": 0.02, "two": 0.01}
    assert report.used == pytest.approx(0.03)


def test_the_phrase_names_what_was_paid_what_all_is_worth_and_what_has_no_price(call):
    local, house = (
        exchanges(call, "a", tariff=Tariff(local=one), model=str(one)) for one in (1, 0)
    )
    three = [("one", exchanges(call, "a", "b", "c"))]
    recorded = cost_report(
        0.0, [("file", exchanges(call, "a", tariff=Tariff(), provider="recorded"))]
    )
    mixed = cost_report(0.01, [("here", local), ("house", house), ("one", exchanges(call, "b"))])

    assert cost_phrase(mixed) == "0.01 USD without house (unpriced), here (local)"
    assert cost_phrase(cost_report(0.01, three)) == "0.01 USD of 0.03 USD"
    assert cost_phrase(cost_report(0.03, three)) == "0.03 USD"
    assert cost_phrase(cost_report(0.0, [("here", local)])) == ""
    # Those of a file were paid for elsewhere.
    assert (recorded.unknown, cost_phrase(recorded)) == ({}, "")


def test_the_cost_reports_of_workers_are_merged():
    reports = [
        CostReport(asked=0.1, variants={"one": 0.3}, stopped="spent", unasked=4),
        CostReport(asked=0.2, variants={"one": 0.2, "two": 0.4}, unknown={"here": "local"}),
    ]

    assert merge_cost_reports(reports) == CostReport(
        asked=pytest.approx(0.3),
        variants={"one": 0.3, "two": 0.4},
        unknown={"here": "local"},
        stopped="spent",
        unasked=4,
    )


def test_each_variant_is_told_where_the_user_wants_to_know_more_and_what_a_budget_misses(call):
    report = cost_report(0.0, [("one", exchanges(call, "a")), ("two", exchanges(call, "b", "c"))])
    local = CostReport(unknown={"here": "local"})

    assert [*cost_lines(report, full=True, max_usd=None)] == [
        "replies cost: one 0.01 USD, two 0.02 USD"
    ]
    assert [*cost_lines(report, full=False, max_usd=None)] == []
    assert [*cost_lines(local, full=False, max_usd=1.0)] == [
        "not counted by --ftgate-max-usd, having no price: here (local)"
    ]


def test_without_the_list_it_is_said_how_prices_are_had(call, no_price_list):
    reply = Reply(text="ok", usage={"input": 9})

    report = cost_report(0.0, [("one", [(call(tariff=Tariff(model="claude-haiku-5-5")), reply)])])

    assert cost_phrase(report) == "unpriced"
    assert list(cost_lines(report, full=False, max_usd=None)) == [
        'for prices of hosted models: pip install "pytest-ftgate[prices]"'
    ]


# The rate in the line of progress --------------------------------------------------------------


def rates(*at: float):
    """Return what tells the rate of requests that finished at these seconds."""
    rate = RecentRate()
    for seconds in at:
        rate.add(seconds)
    return rate.per_second


def test_in_the_first_half_minute_the_rate_is_that_of_the_whole_run():
    rate = rates(*range(10))

    assert (rate(10.0), rate(20.0)) == pytest.approx((1.0, 0.5))


def test_a_quick_start_is_forgotten_after_half_a_minute():
    # A hundred a second for ten seconds, then one each two seconds.
    rate = rates(*(second / 100 for second in range(1_000)), *range(10, 200, 2))

    assert rate(200.0) == pytest.approx(0.5, rel=0.05)


def test_a_run_that_stands_still_or_has_finished_nothing_has_no_rate():
    rate = rates(1.0, 2.0, 3.0)

    assert rate(30.5) > 0
    assert rate(34.0) == rates()(0.0) == rates()(100.0) == 0.0
