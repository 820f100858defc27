"""Prices in a suite: which hold for a variant, what contradicts, and what a cost gate needs."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.prices import Tariff

HEAD = """\
cases: [{input: Where is it, expected: b}]
gates: GATES
variants:
"""
ACCURACY = "{accuracy: {min: 0.5}}"
COST = "{cost: {max_usd_per_1k: 0.5}}"
HAIKU = "provider: anthropic, model: claude-haiku-5-5"
SERVED = "provider: openai-compatible, model: gpt-4.1, base_url: 'http://127.0.0.1:9/v1'"
PYTHON = 'provider: python, function: "answers:answer"'
RATES = "usd_per_1m_input: 1, usd_per_1m_output: 2"


def loaded(folder, *variants, gates=ACCURACY):
    (folder / "answers.py").write_text("def answer(case): return 'b'\n")
    path = folder / "s.ftgate.yaml"
    text = HEAD.replace("GATES", gates) + "".join(f"  {one}\n" for one in variants)
    path.write_text(text, "utf-8")
    return load_suite(path, folder)


def tariffs(folder, *variants):
    return [one.tariff for one in loaded(folder, *variants).variants.values()]


def errors(folder, *variants, gates=ACCURACY):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, *variants, gates=gates)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


# Whose price it is ---------------------------------------------------------------------------


@every_row(
    ("keys", "tariff"),
    [
        (HAIKU, Tariff(model="claude-haiku-5-5", seller="anthropic")),
        ("provider: bedrock, model: m", Tariff(model="m", seller="aws")),
        ("provider: openai-compatible, model: m", Tariff(model="m", seller="openai")),
        (SERVED, Tariff()),
        (SERVED.replace("127.0.0.1", "localhost"), Tariff()),
        (SERVED.replace("127.0.0.1", "192.168.0.7"), Tariff()),
        (
            SERVED.replace("127.0.0.1:9", "llm.example.com"),
            Tariff(model="gpt-4.1", seller="http://llm.example.com/v1"),
        ),
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


def test_a_variant_like_another_has_its_price(tmp_path):
    one, two = tariffs(tmp_path, f"one: {{{HAIKU}, {RATES}}}", "two: {like: one, max_tokens: 3}")

    assert one == two


@every_row("own", ["model: m", "base_url: 'http://127.0.0.1:9'", "usd_per_1k: 1"])
def test_a_price_does_not_follow_to_another_model_or_place_or_beside_another_price(tmp_path, own):
    _, two = tariffs(tmp_path, f"one: {{{HAIKU}, {RATES}}}", f"two: {{like: one, {own}}}")

    assert two.per_1m_input is None


# What contradicts ----------------------------------------------------------------------------


@every_row(
    ("keys", "told"),
    [
        (f"{HAIKU}, {RATES}, usd_per_1k: 3", ("usd_per_1m_input and usd_per_1k each set the price "
         "of a request; keep one")),
        (f"{HAIKU}, usd_per_1k: 3, price_model: claude-opus-5-5", ("usd_per_1k and price_model "
         "each set the price of a request; keep one")),
        (f"{HAIKU}, usd_per_1m_output: 3", ("usd_per_1m_output needs usd_per_1m_input beside it; "
         "write 0 for what is free")),
        (f"{HAIKU}, price_model: claude-haiku-5-6", ('price_model: no price of "claude-haiku-5-6" '
         'is known; did you mean "claude-haiku-5-5"?')),
        (f"{PYTHON}, {RATES}", ("usd_per_1m_input means nothing to provider python, only to "
         "anthropic, bedrock, bedrock-converse, openai-compatible, llamacpp, "
         "recorded and transformers; remove it")),
        (f"{HAIKU}, usd_per_1k: -1", "usd_per_1k is -1, but must be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_prices_that_cannot_hold_are_errors(tmp_path, keys, told):
    assert errors(tmp_path, f"one: {{{keys}}}")[0] == f'4: variant "one": {told}'


def test_an_inherited_contradiction_is_said_once(tmp_path):
    wrong = f"one: {{{HAIKU}, usd_per_1k: 1, price_model: gpt-4.1}}"

    assert len(errors(tmp_path, wrong, "two: {like: one}")) == 1


# What a gate on money or time needs ----------------------------------------------------------


@every_row(
    ("gates", "told"),
    [
        ("{cost: }", "2: cost: no limit is declared; write max_usd_per_1k: 0.50"),
        ("{latency: {}}", "2: latency: no limit is declared; write max_p95_ms: 1500"),
        ("{cost: {max_usd: 1}}", '2: unknown key "max_usd"; did you mean "max_usd_per_1k"?'),
        ("{latency: {max_p95_ms: 0}}", "2: max_p95_ms is 0, but must be greater than 0"),
    ],
)
def test_a_gate_without_a_limit_that_could_be_held_is_refused(tmp_path, gates, told):
    assert errors(tmp_path, f"one: {{{HAIKU}}}", gates=gates) == [told]


def test_a_cost_gate_on_variants_without_a_price_names_them_and_the_remedy(tmp_path):
    told = errors(tmp_path, f"one: {{{HAIKU}}}", f"two: {{{SERVED}}}", f"tri: {{{PYTHON}}}",
                  gates=COST)  # fmt: skip

    assert told == [
        (
            '2: cost: no price is known of "two" (openai-compatible), "tri" (python); declare '
            "usd_per_1k, or usd_per_1m_input and usd_per_1m_output, or price_model there"
        )
    ]


def test_without_the_list_a_cost_gate_says_how_it_is_had(tmp_path, no_price_list):
    (told,) = errors(tmp_path, f"one: {{{HAIKU}}}", gates=COST)

    assert told.endswith('; for what is hosted: pip install "pytest-ftgate[prices]"')


def test_an_ungated_variant_needs_no_price(tmp_path):
    free = f"two: {{{PYTHON}, gated: false}}"

    assert loaded(tmp_path, f"one: {{{HAIKU}}}", free, gates=COST).gates["cost"].max_rise is None


def test_an_ungated_baseline_needs_one_where_the_rise_is_held(tmp_path):
    first = f"one: {{{PYTHON}, gated: false}}"

    (told,) = errors(tmp_path, first, f"two: {{{HAIKU}}}", gates="{cost: {max_rise: 0.1}}")

    assert '"one" (python)' in told
