"""A team holds what its calls cost to a limit, and sees what a run cost."""

from __future__ import annotations

import json
import re

import genai_prices.data_snapshot  # noqa: F401
import pytest
from ftgate_testing.messages_api import serving

#: Runs in this process forget what they imported, and these are slow to import anew.
import pytest_ftgate.providers.anthropic  # noqa: F401
from pytest_ftgate.cli.main import main

#: Haiku asks 0.10 USD for a million tokens read, and 0.50 for a million written.
HAIKU = "{provider: anthropic, base_url_env: API, model: claude-haiku-5-5, served_model: served}"
#: Tokens of a reply, one half of them short and one half long: 0.20 USD a thousand on the average.
READ, WRITTEN = 1000, (100, 300)


@pytest.fixture
def api(pytester, monkeypatch):
    pytester.makeini("[pytest]\nftgate_keys = ANTHROPIC_API_KEY@$API\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with serving() as api:
        monkeypatch.setenv("API", api.url)
        yield api


@pytest.fixture
def judged(desk, api):
    """Judge a suite whose hosted variants answer rightly, for 0.20 USD a thousand calls."""

    def judge(gates, *args, calls=100, written=WRITTEN, **variants):
        desk.suite_of({"current": HAIKU, **variants}, gates)
        for n in range(calls):
            tokens = {"input_tokens": READ, "output_tokens": written[n % len(written)]}
            api.message("billing", usage=tokens)
        return desk.run(*args)

    return judge


def test_a_cheaper_model_passes_the_limit_that_a_dear_one_failed(judged):
    limit = "{cost: {max_usd_per_1k: 0.25}}"
    opus = HAIKU.replace("haiku", "opus").replace("}", ", max_tokens: 320}")
    dear = judged(limit, current=opus)
    dear.stdout.fnmatch_lines(["    fix     choose a smaller model or a shorter prompt"])

    assert (dear.ret, judged(limit).ret) == (1, 0)


def test_the_max_tokens_that_an_open_cost_names_passes(judged, desk):
    gates = "{cost: {max_usd_per_1k: 0.25}}"
    is_open = judged(gates, current=HAIKU.replace("}", ", max_tokens: 4000}"))
    told = " ".join(is_open.stdout.str().split())
    found = re.search(r"set max_tokens: (\d+) tickets.ftgate.yaml:4", told)
    assert found, told
    assert "max_tokens 4,000 lets a case cost 0.00213 USD, and up to 3.6 % of cases may" in told

    passing = judged(gates, current=HAIKU.replace("}", f", max_tokens: {found[1]}}}"))

    assert (is_open.ret, passing.ret) == (1, 0)


def test_a_case_that_cost_more_than_one_can_is_an_error_that_names_the_case(judged):
    result = judged("{cost: {max_usd_per_1k: 0.25, max_cost_per_case: 0.00021}}")

    result.assert_outcomes(errors=1)
    told = " ".join(result.stdout.str().split())
    # Requests are in flight at once, so any case may get the first long reply.
    assert re.search(r"case t\d+ cost 0.00025 USD, and max_cost_per_case is 0.00021; write", told)
    assert "with the most USD that one case can cost, in tickets.ftgate.yaml:5" in told


def test_a_limit_that_no_replies_could_show_is_refused_before_anything_is_sent(judged, api):
    refused = judged("{cost: {max_usd_per_1k: 0.015}}", calls=0)

    assert refused.ret != 0
    assert api.requests == []
    told = " ".join(refused.stdout.str().split())
    assert "100 cases can never show 0.015 USD per 1,000 requests of current, since" in told
    assert "max_tokens 1,024 lets a case cost 0.000512 USD: write max_tokens: 828, take" in told


def test_a_key_that_was_missing_is_set_and_the_same_command_passes(judged, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    first = judged("{accuracy: {}}")
    command = next(line.split() for line in first.outlines if " then " in line)
    assert command[1:3] == ["pytest", "--ftgate"]
    assert "set ANTHROPIC_API_KEY" in first.stdout.str()

    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")

    assert (first.ret, judged("{accuracy: {}}", *command[3:]).ret) == (1, 0)


def test_a_rise_against_the_baseline_fails(judged, desk):
    opus = HAIKU.replace("haiku", "opus")

    result = judged("{cost: {max_rise: 0.5}}", calls=200, written=[200], strong=opus)

    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "cost of 1,000 requests up 3900 % (*), limit +50 %: current",
            "*0.20 USD → strong 8.00 USD",
            "BLOCKED  1 of 1 gate failed*",
            "✗ cost[[]strong]   cost of 1,000 requests up 3900 %*",
            "200 replies: 0 cached, 200 requested in * · 0.82 USD",
        ]
    )


def test_the_verdict_on_a_cost_is_explained(judged, desk, capsys, monkeypatch):
    judged("{cost: {max_usd_per_1k: 0.25}}")
    monkeypatch.chdir(desk.pytester.path)
    capsys.readouterr()
    assert main(["explain", "tickets.ftgate.yaml::cost[current]"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "cost of 1,000 requests 0.20 USD (95 % CI 0.188 to 0.219 USD), limit 0.25 USD" in said
    assert "the cases, and one more that is as large as a case can be" in said
    assert "passes if all of the 95 % CI is within 0.25 USD" in said


def test_what_keeps_two_limits_of_a_cost_open_is_explained_once(judged, desk, capsys, monkeypatch):
    long = HAIKU.replace("}", ", max_tokens: 9000}")
    gates = "{cost: {max_usd_per_1k: 0.25, max_rise: 0.3, max_cost_per_case: 0.004}}"
    judged(gates, current=long, strong=long.replace("}", ", temperature: 0.5}"), calls=200)
    monkeypatch.chdir(desk.pytester.path)
    capsys.readouterr()

    main(["explain", "tickets.ftgate.yaml::cost[strong]"])

    said = " ".join(capsys.readouterr().out.split())
    assert said.count("max_cost_per_case lets a case cost 0.004 USD") == 1


def test_the_accepted_record_keeps_what_the_run_cost(judged, desk):
    judged("{accuracy: {}}", "--ftgate-accept")

    cost = json.loads(desk.path("tickets.accepted.json").read_text("utf-8"))["cost"]

    assert (cost["asked"], cost["variants"]) == (0.02, {"current": 0.02})
