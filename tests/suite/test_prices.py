"""What a call costs: by rates of one's own, or by the public list, which is read offline."""

from __future__ import annotations

import socket
from decimal import Decimal

from ftgate_testing.suite_files import errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.suite import prices
from pytest_ftgate.suite.prices import Tariff, has_price, listed_models, request_price

HAIKU = Tariff(model="claude-haiku-5-5", seller="anthropic")
#: What a reply tells: 400 read, 100 of which came from a cache, and 150 written.
USAGE = {"input": 400, "output": 150, "cache_read": 100}


@every_row(
    ("tariff", "usage", "keys", "price"),
    [
        # Declared rates count a million tokens, those from a cache in full.
        (Tariff(per_1m_input=2, per_1m_output=10), {"input": 500, "output": 150}, {}, "0.0025"),
        (Tariff(per_1m_input=2, per_1m_output=0), {"input": 1, "cache_read": 2, "cache_write": 3},
         {}, "0.000012"),
        # A flat price is that of a thousand requests, whatever they take.
        (Tariff(per_1k=0.3), {}, {}, "0.0003"),
        # The list: 500 in at 0.10 and 150 out at 0.50 a million; 100 from a cache at a tenth.
        (HAIKU, {"input": 500, "output": 150}, {}, "0.000125"),
        (HAIKU, USAGE, {}, "0.000116"),
        (HAIKU, USAGE, {"batch": True}, "0.000058"),
    ],
)  # fmt: skip
def test_a_request_costs_what_is_declared_or_listed(tariff, usage, keys, price):
    assert request_price(tariff, usage, **keys) == Decimal(price)


@every_row(
    ("tariff", "usage"),
    [
        (Tariff(), USAGE),
        (Tariff(model="tickets-lora-v7", seller="openai"), USAGE),
        (Tariff(model="ft:gpt-4.1-mini-2025-04-14:org:suffix:id", seller="openai"), USAGE),
        (Tariff(model="gpt-4.1", seller="http://127.0.0.1:8000/v1"), USAGE),
        (Tariff(per_1m_input=1.0), USAGE),
        # A reply that tells no tokens.
        (HAIKU, {}),
        (HAIKU, {"input": 0, "output": 0}),
    ],
)
def test_what_nobody_prices_is_unknown_and_not_free(tariff, usage):
    assert request_price(tariff, usage) is None


def test_prices_are_known_without_a_network_also_by_the_address_of_a_seller(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("no connection should be made")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert has_price(HAIKU)
    assert has_price(Tariff(model="gpt-4.1", seller="https://api.openai.com/v1"))


def test_without_the_list_only_declared_prices_are_known_and_it_is_looked_for_once(
    no_price_list, monkeypatch
):
    looked: list[str] = []
    monkeypatch.setattr(prices, "find_spec", looked.append)

    assert [request_price(HAIKU, USAGE) for _ in range(3)] == [None] * 3
    assert listed_models() is None
    assert looked == ["genai_prices"]
    assert has_price(Tariff(per_1m_input=1.0, per_1m_output=1.0))


# Whose price it is ---------------------------------------------------------------------------

COST = "{cost: {max_usd_per_1k: 0.5}}"
MODEL = "provider: anthropic, model: claude-haiku-5-5"
SERVED = "provider: openai-compatible, model: gpt-4.1, base_url: 'http://127.0.0.1:9/v1'"
PYTHON = 'provider: python, function: "answers:answer"'
RATES = "usd_per_1m_input: 1, usd_per_1m_output: 2"


def tariffs(folder, *variants):
    return [one.tariff for one in load_variants(folder, *variants).variants.values()]


def errors(folder, *variants, **parts):
    return errors_of(load_variants, folder, *variants, **parts)


@every_row(
    ("keys", "tariff"),
    [
        (MODEL, Tariff(model="claude-haiku-5-5", seller="anthropic")),
        ("provider: bedrock, model: m", Tariff(model="m", seller="aws")),
        ("provider: openai-compatible, model: m", Tariff(model="m", seller="openai")),
        (SERVED, Tariff()),
        (SERVED.replace("127.0.0.1", "localhost"), Tariff()),
        (SERVED.replace("127.0.0.1", "192.168.0.7"), Tariff()),
        (SERVED.replace("127.0.0.1:9", "llm.example.com"),
         Tariff(model="gpt-4.1", seller="http://llm.example.com/v1")),
        ("provider: openai-compatible, model: gpt-4.1, base_url_env: URL", Tariff()),
        ("provider: llamacpp, model: m", Tariff(local=True)),
        (PYTHON, Tariff(local=True)),
        ("provider: llamacpp, model: m, usd_per_1k: 0.1", Tariff(per_1k=0.1, local=True)),
        (f"{SERVED}, {RATES}", Tariff(per_1m_input=1, per_1m_output=2)),
        (f"{SERVED}, price_model: gpt-4.1", Tariff(model="gpt-4.1")),
    ],
)  # fmt: skip
def test_a_variant_costs_what_it_declares_or_what_its_seller_lists(tmp_path, keys, tariff):
    assert tariffs(tmp_path, f"one: {{{keys}}}") == [tariff]


@every_row(
    ("own", "follows"),
    [
        ("max_tokens: 3", True),
        ("model: m", False),
        ("base_url: 'http://127.0.0.1:9'", False),
        ("usd_per_1k: 1", False),
    ],
)
def test_a_price_follows_to_the_same_model_at_the_same_place_without_another_price(
    tmp_path, own, follows
):
    one, two = tariffs(tmp_path, f"one: {{{MODEL}, {RATES}}}", f"two: {{like: one, {own}}}")

    assert (one == two, two.per_1m_input) == ((True, 1) if follows else (False, None))


# What contradicts ----------------------------------------------------------------------------

EACH = "each set the price of a request; keep one"
NEAR = 'is known; did you mean "claude-haiku-5-5"?'


@every_row(
    ("keys", "told"),
    [
        (f"{RATES}, usd_per_1k: 3", f"usd_per_1m_input and usd_per_1k {EACH}"),
        # An inherited contradiction is said once.
        ("usd_per_1k: 3, price_model: claude-opus-5-5", f"usd_per_1k and price_model {EACH}"),
        ("usd_per_1m_output: 3",
         "usd_per_1m_output needs usd_per_1m_input beside it; write 0 for what is free"),
        ("price_model: claude-haiku-5-6", f'price_model: no price of "claude-haiku-5-6" {NEAR}'),
    ],
)  # fmt: skip
def test_prices_that_cannot_hold_are_errors_told_once(tmp_path, keys, told):
    variants = (f"one: {{{MODEL}, {keys}}}", "two: {like: one}")

    assert errors(tmp_path, *variants) == [f'4: variant "one": {told}']


# What a gate on money or time needs ----------------------------------------------------------


@every_row(
    ("gates", "told"),
    [
        ("{cost: }", "2: cost: no limit is declared; write max_usd_per_1k: 0.50"),
        ("{latency: {}}", "2: latency: no limit is declared; write max_p95_ms: 1500"),
        (
            "{cost: {max_usd_per_1k: 1.0e-16}}",
            "2: max_usd_per_1k is 1e-16, but must be greater than or equal to 0.000000001",
        ),
        ("{cost: {max_usd_per_1k: .inf}}", "2: max_usd_per_1k is inf, but must be a finite number"),
    ],
)
def test_a_gate_without_a_limit_that_could_be_held_is_refused(tmp_path, gates, told):
    assert errors(tmp_path, f"one: {{{MODEL}}}", gates=gates) == [told]


def test_a_cost_gate_on_variants_without_a_price_names_them_and_the_remedy(tmp_path):
    variants = (f"one: {{{MODEL}}}", f"two: {{{SERVED}}}", f"tri: {{{PYTHON}}}")

    assert errors(tmp_path, *variants, gates=COST) == [
        (
            '2: cost: no price is known of "two" (openai-compatible), "tri" (python); declare '
            "usd_per_1k, or usd_per_1m_input and usd_per_1m_output, or price_model there"
        )
    ]


def test_a_program_may_state_its_cost_and_needs_no_declared_price(tmp_path):
    program = "one: {provider: command, command: {run: [python3]}}"
    suite = load_variants(tmp_path, program, gates="{cost: {max_usd_per_1k: 5, evidence: point}}")

    assert suite.variants["one"].tariff.no_price_label == "local"


def test_without_the_list_a_cost_gate_says_how_it_is_had(tmp_path, no_price_list):
    (told,) = errors(tmp_path, f"one: {{{MODEL}}}", gates=COST)

    assert told.endswith('; for what is hosted: pip install "pytest-ftgate[prices]"')


def test_an_ungated_variant_needs_a_price_only_as_the_baseline_of_a_held_rise(tmp_path):
    ungated, rise = f"one: {{{PYTHON}, gated: false}}", "{cost: {max_rise: 0.1}}"
    variants = (ungated, f"two: {{{MODEL}}}")

    assert load_variants(tmp_path, *variants, gates=COST).gates["cost"].max_rise is None
    (told,) = errors(tmp_path, *variants, gates=rise)
    assert '"one" (python)' in told
