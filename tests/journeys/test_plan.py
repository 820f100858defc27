"""Before anything is spent, a user looks at what a run would ask."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from ftgate_testing.tables import heavy

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: Two variants, of which one has fifteen of the first thirty tickets wrong.
TWO = """\
def answer(case):
    return case.expected

def other(case):
    return "billing" if case.id < "t030" else case.expected
"""


def row(desk, result):
    """Return what the plan says of *current*: in the cache, to ask."""
    line = next(line for line in result.outlines if line.startswith("  current "))
    return tuple(line.split()[1:3])


@pytest.mark.parametrize("processes", [(), heavy(("-p", "xdist", "-n", "2"))])
def test_a_plan_shows_what_would_be_asked_and_certified_and_asks_nothing(desk, processes):
    desk.asking_suite()

    result = desk.run("--ftgate-plan", *processes)

    result.stdout.fnmatch_lines(
        [
            "  variant * in cache * to send *",
            "  gate * cases * limit * for 90 % * assumed * passes * add",
            "  accuracy?current? * 100 * 5 * 12 * 10 % differ * % * +*",
            "  for 90 %:   the smallest limit that 9 in 10 unchanged builds pass; with min:",
            "  assumed:    how many cases differ between two runs (* measured, else typical);*",
            "  builds:     an unchanged variant passes, accepted runs included, * % or more",
            "              of builds with 2 checks: current",
        ]
    )
    result.stdout.no_fnmatch_line("*lint:*")
    assert (result.ret, row(desk, result)) == (0, ("0", "100"))
    assert (desk.asked(), desk.verdicts()) == ([], {})


def test_a_plan_counts_what_the_cache_has_unless_replies_are_to_be_fresh(desk):
    desk.asking_suite()
    desk.run()

    result, fresh = desk.run("--ftgate-plan"), desk.run("--ftgate-plan", "--ftgate-replies=fresh")

    assert (row(desk, result), row(desk, fresh)) == (("100", "0"), ("0", "100"))


def test_a_plan_tells_at_most_what_a_conversation_begins_with(desk):
    desk.asking_suite(gates="{accuracy: {min: 0.5}}")
    desk.marked("def test_it(case, ask):\n    assert ask().text == case.expected\n", "min=0.5")

    result = desk.run("test_marked.py", "--ftgate-plan")

    assert row(desk, result) == ("0", "100")
    result.stdout.fnmatch_lines(["  more: later turns are not counted: test_it"])


def test_a_plan_takes_the_disagreement_that_cached_replies_show(desk):
    draft = '{provider: python, function: "answers:other"}'
    desk.asking_suite(TWO, draft=draft)
    desk.run()

    result = desk.run("--ftgate-plan")

    # Fifteen of a hundred turned, all to wrong: that is the draft, and not its noise.
    result.stdout.fnmatch_lines(["  accuracy?draft? * 1 % differ[*] *"])


def test_a_variant_that_cannot_be_planned_is_named_and_the_others_are_shown(desk):
    desk.asking_suite(gone='{provider: python, function: "missing:answer"}')

    result = desk.run("--ftgate-plan")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "  current *",
            "BLOCKED  1 of 2 gates would not be evaluated",
            "  ✗ tickets.ftgate.yaml::accuracy?gone?",
            "    missing:answer: there is no module *",
        ]
    )
    assert len([line for line in result.outlines if "missing:answer" in line]) == 1
    silent = desk.run("--ftgate-plan", "-p", "no:terminal")
    assert silent.ret == pytest.ExitCode.TESTS_FAILED


def test_an_ungated_variant_that_cannot_be_planned_blocks_no_gate(desk):
    desk.asking_suite(gone='{provider: python, function: "missing:answer", gated: false}')

    result = desk.run("--ftgate-plan")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["  gone: missing:answer: there is no module *"])
    result.stdout.no_fnmatch_line("BLOCKED*")


PRICED = "{provider: anthropic, model: claude-opus-5-5, max_tokens: 100}"


def test_a_plan_shows_what_asking_costs_and_how_long_it_takes(desk):
    desk.asking_suite(strong=PRICED, gates="{accuracy: {min: 0.5}}")

    result = desk.run("--ftgate-plan")

    # 100 requests of 4 tokens each, and at most 100 tokens of output at 20 USD a million.
    result.stdout.fnmatch_lines(
        [
            "  variant * in cache * to send * tokens * USD * time",
            "  current * 0 * 100 * 0 k * local * unknown",
            "  strong * 0 * 100 * 10 k * 0.201 * unknown",
            "  total * 0 * 200 * 10 k * 0.201 + local * unknown",
            "  time: unknown until the first replies.",
        ]
    )


def test_a_plan_takes_the_time_and_the_length_that_earlier_replies_show(desk):
    desk.asking_suite()
    desk.run("-k", "nothing")
    with closing(Cache(desk.path(".ftgate/cache.sqlite"), run="r", clock=time.time)) as cache:
        reply = Reply(text="billing", model="claude-opus-5-5", usage={"output": 3}, seconds=16.0)
        asked = {"provider": "anthropic", "model": "claude-opus-5-5", "messages": ()}
        cache.store(Request(fingerprint="one", max_tokens=1, sampling={}, **asked), reply)
    desk.asking_suite(strong=PRICED, gates="{accuracy: {min: 0.5}}")

    result = desk.run("--ftgate-plan")

    result.stdout.fnmatch_lines(["  strong * 0 * 100 * 1 k * 0.0072 * ~1:04"])


def test_a_plan_shows_what_looks_may_save_and_holds_all_of_it_against_the_budget(desk):
    desk.suite_of({"strong": PRICED}, "{accuracy: {min: 0.5, stop_early: true}}")

    result = desk.run("--ftgate-plan", "--ftgate-max-usd=0.1")
    others = [desk.run("--ftgate-plan", f"--ftgate-max-usd={usd}") for usd in ("0.01", "0.3")]

    result.stdout.fnmatch_lines(
        [
            "  variant * in cache * to send * tokens * USD * time",
            "  strong * 0 * 20 to 100 * 2 to 10 k * 0.0402 to 0.201 * unknown",
            "  20 to 100 requests: the least if the first replies decide everything, the most",
            "    if they decide nothing (stop_early, settle, must-pass cases, identity).",
            "  --ftgate-max-usd=0.1 may stop the run: its requests cost 0.0402 to 0.201 USD",
        ]
    )
    least, most = ([x for x in one.outlines if "--ftgate-max-usd" in x] for one in others)
    assert least == ["  --ftgate-max-usd=0.01 stops the run: its requests cost 0.0402 to 0.201 USD"]
    assert most == []


def test_a_plan_without_the_list_says_how_prices_are_had(desk, no_price_list):
    desk.suite_of({"strong": PRICED}, "{accuracy: {min: 0.5}}")

    result = desk.run("--ftgate-plan")

    result.stdout.fnmatch_lines(
        [
            "  strong * unpriced * unknown",
            '  for prices of hosted models: pip install "pytest-ftgate[[]prices]"',
        ]
    )


FEW = "{provider: anthropic, model: m, examples: {from: train.jsonl, shots: 1}}"


def test_a_plan_warns_of_examples_that_leave_labels_out(desk):
    desk.write_rows("train.jsonl", [{"input": "Pay me back", "expected": "refund"}])
    desk.suite_of({"few": FEW, "same": "{like: few, gated: false}"}, "{accuracy: {min: 0.8}}")

    result = desk.run("--ftgate-plan")

    told = "the examples show 1 of 2 labels that the cases expect; without billing"
    result.stdout.fnmatch_lines([f"  lint: few, same: {told}"])


#: Notes that it was imported.
NOTING = '''\
from pathlib import Path

Path(__file__).with_suffix(".imported").touch()

def answer(case):
    return case.expected

def look_up(order: str) -> str:
    """Look an order up."""
    return order
'''


def test_collection_imports_no_module_of_a_suite_and_the_plan_those_of_tools_alone(desk):
    for name in ("answering", "shopping"):
        desk.path(f"{name}.py").write_text(NOTING, "utf-8")
    agent = 'provider: openai-compatible, base_url: "http://127.0.0.1:9/v1", model: m'
    variants = {
        "current": '{provider: python, function: "answering:answer"}',
        "agent": f'{{{agent}, tools: ["shopping:look_up"]}}',
    }
    desk.suite_of(variants)

    desk.run("--collect-only")
    collected = [path.name for path in desk.pytester.path.glob("*.imported")]
    desk.run("--ftgate-plan")
    planned = [path.name for path in desk.pytester.path.glob("*.imported")]

    assert (collected, planned) == ([], ["shopping.imported"])
