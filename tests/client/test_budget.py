"""A budget: the costs that it records, and when it stops a run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from pytest_ftgate.client.budget import Budget
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
        sender = SimpleNamespace(in_flight=lambda: in_flight)
        return Budget(sender, clock, **limits)

    return made


def test_without_limits_it_never_stops_and_counts_all_the_same(budget, call):
    own = budget()
    own.record_cost(call(tariff=DEAR), reply(500))

    assert own.stop_reason() is None
    assert own.spent == Decimal("0.5")


def test_it_stops_once_the_next_call_would_go_beyond_the_limit(budget, call, in_flight):
    own, one = budget(max_usd=1.0), call(tariff=DEAR)
    in_flight.append(one)

    for _ in range(3):
        own.record_cost(one, reply(300))

    assert own.stop_reason() == SPENT
    assert own.stopped == SPENT


def test_calls_in_flight_count_as_much_as_those_of_their_model_did(budget, call, in_flight):
    own, one = budget(max_usd=1.0), call(tariff=DEAR)
    own.record_cost(one, reply(100))

    in_flight.extend([one] * 9)
    assert own.stop_reason() is None
    in_flight.append(one)
    assert own.stop_reason() == SPENT


def test_before_the_first_reply_a_call_counts_what_it_should_cost(budget, call, in_flight):
    own = budget(max_usd=1.0)
    # A reply is taken for 100 tokens, unless it may be no longer than 16.
    in_flight.extend([call(tariff=DEAR)] * 62)
    assert own.stop_reason() is None

    in_flight.append(call(tariff=DEAR))
    assert own.stop_reason() == SPENT


def test_calls_without_a_price_do_not_count(budget, call, in_flight):
    own, local = budget(max_usd=0.001), call(tariff=Tariff(local=True))
    in_flight.extend([local] * 50)
    own.record_cost(local, reply(10_000))

    assert own.stop_reason() is None


def test_a_flat_price_is_paid_once_for_all_turns_of_a_call(budget, call):
    own, first = budget(), call(tariff=Tariff(per_1k=1.0))
    turn = replace(first, steps=(Step("", ()),))

    own.record_cost(first, reply(1))
    own.record_cost(turn, reply(1))

    assert own.spent == Decimal("0.001")


def test_once_stopped_it_stays_so_though_calls_come_home_cheaper(budget, call, in_flight):
    own = budget(max_usd=1.0)
    in_flight.extend([call(tariff=DEAR)] * 63)
    own.stop_reason()

    in_flight.clear()

    assert own.stop_reason() == SPENT


@pytest.mark.parametrize(
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
