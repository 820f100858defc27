"""What a call costs, by rates of one's own or by the public list, which is read offline."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.suite import prices
from pytest_ftgate.suite.prices import Tariff, has_price, listed_models, request_price

HAIKU = Tariff(model="claude-haiku-5-5", seller="anthropic")
#: What a reply tells: 400 read, 100 of which came from a cache, and 150 written.
USAGE = {"input": 400, "output": 150, "cache_read": 100}


def test_declared_rates_count_a_million_tokens_read_and_written():
    tariff = Tariff(per_1m_input=2.0, per_1m_output=10.0)

    assert request_price(tariff, {"input": 500, "output": 150}) == Decimal("0.0025")


def test_by_a_declared_rate_what_was_cached_counts_in_full():
    tariff = Tariff(per_1m_input=2.0, per_1m_output=0.0)

    assert request_price(tariff, {"input": 1, "cache_read": 2, "cache_write": 3}) == Decimal(
        "0.000012"
    )


def test_a_flat_price_is_that_of_a_thousand_requests_whatever_they_take():
    assert request_price(Tariff(per_1k=0.3), {}) == Decimal("0.0003")


def test_a_listed_model_costs_what_its_seller_asks():
    # 500 in at 0.10 and 150 out at 0.50 a million.
    assert request_price(HAIKU, {"input": 500, "output": 150}) == Decimal("0.000125")


def test_the_list_knows_what_a_cache_costs():
    # 400 in full, and 100 at a tenth of it.
    assert request_price(HAIKU, USAGE) == Decimal("0.000116")


def test_a_batch_of_a_listed_model_costs_half():
    assert request_price(HAIKU, USAGE, batch=True) == Decimal("0.000058")


def test_prices_are_known_without_a_network(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("no connection should be made")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert has_price(HAIKU)


@every_row(
    "tariff",
    [
        Tariff(),
        Tariff(model="tickets-lora-v7", seller="openai"),
        Tariff(model="ft:gpt-4.1-mini-2025-04-14:org:suffix:id", seller="openai"),
        Tariff(model="gpt-4.1", seller="http://127.0.0.1:8000/v1"),
        Tariff(per_1m_input=1.0),
    ],
)
def test_what_nobody_prices_is_unknown_and_not_free(tariff):
    assert request_price(tariff, USAGE) is None


def test_a_reply_that_tells_no_tokens_has_no_price_by_tokens():
    assert request_price(HAIKU, {}) is None
    assert request_price(HAIKU, {"input": 0, "output": 0}) is None


def test_a_known_address_sells_what_its_owner_lists():
    assert has_price(Tariff(model="gpt-4.1", seller="https://api.openai.com/v1"))


@pytest.mark.usefixtures("no_price_list")
def test_without_the_list_only_declared_prices_are_known():
    assert listed_models() is None
    assert request_price(HAIKU, USAGE) is None
    assert has_price(Tariff(per_1m_input=1.0, per_1m_output=1.0))


def test_a_missing_list_is_looked_for_once_however_many_replies_have_a_price(
    no_price_list, monkeypatch
):
    looked: list[str] = []
    monkeypatch.setattr(prices, "find_spec", looked.append)

    assert [request_price(HAIKU, USAGE) for _ in range(3)] == [None] * 3
    assert looked == ["genai_prices"]
