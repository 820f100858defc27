"""The cost report of a run: by variant, without unpriced ones, and over several processes."""

from __future__ import annotations

import pytest

from pytest_ftgate.client.budget import CostReport, cost_report, merge_cost_reports
from pytest_ftgate.reporting.tables import cost_lines, cost_phrase
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.prices import Tariff

CENT = Tariff(per_1k=10.0)
REPLY = Reply(text="ok")


def exchanges(call, *texts, tariff=CENT, **changes):
    return [(call(text, tariff=tariff, **changes), REPLY) for text in texts]


def test_a_reply_that_two_variants_share_is_paid_by_the_first(call):
    report = cost_report(
        0.0, [("one", exchanges(call, "a", "b")), ("two", exchanges(call, "b", "c"))]
    )

    assert report.variants == {"one": 0.02, "two": 0.01}
    assert report.used == pytest.approx(0.03)


def test_what_nobody_prices_is_named_by_the_word_for_it(call):
    local, house = (
        exchanges(call, "a", tariff=Tariff(local=one), model=str(one)) for one in (1, 0)
    )

    report = cost_report(0.01, [("here", local), ("house", house), ("one", exchanges(call, "b"))])

    assert cost_phrase(report) == "0.01 USD without house (unpriced), here (local)"


def test_recorded_replies_were_paid_for_elsewhere(call):
    report = cost_report(
        0.0, [("file", exchanges(call, "a", tariff=Tariff(), provider="recorded"))]
    )

    assert (report.unknown, cost_phrase(report)) == ({}, "")


def test_what_the_replies_of_the_cache_are_worth_is_told_where_it_differs(call):
    parts = [("one", exchanges(call, "a", "b", "c"))]

    assert cost_phrase(cost_report(0.01, parts)) == "0.01 USD of 0.03 USD"
    assert cost_phrase(cost_report(0.03, parts)) == "0.03 USD"


def test_a_run_of_models_on_this_machine_says_nothing_of_money(call):
    assert (
        cost_phrase(cost_report(0.0, [("here", exchanges(call, "a", tariff=Tariff(local=True)))]))
        == ""
    )


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


def test_each_variant_is_told_where_the_user_wants_to_know_more(call):
    report = cost_report(0.0, [("one", exchanges(call, "a")), ("two", exchanges(call, "b", "c"))])

    assert list(cost_lines(report, full=True, max_usd=None)) == [
        "replies cost: one 0.01 USD, two 0.02 USD"
    ]
    assert list(cost_lines(report, full=False, max_usd=None)) == []


def test_a_budget_that_some_calls_escape_says_so():
    told = list(cost_lines(CostReport(unknown={"here": "local"}), full=False, max_usd=1.0))

    assert told == ["not counted by --ftgate-max-usd, having no price: here (local)"]


def test_without_the_list_it_is_said_how_prices_are_had(call, no_price_list):
    reply = Reply(text="ok", usage={"input": 9})

    report = cost_report(0.0, [("one", [(call(tariff=Tariff(model="claude-haiku-5-5")), reply)])])

    assert cost_phrase(report) == "unpriced"
    assert list(cost_lines(report, full=False, max_usd=None)) == [
        'for prices of hosted models: pip install "pytest-ftgate[prices]"'
    ]
