"""A model looks orders up in the shop: which tools it calls is judged, and shown where it fell."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest

# Runs in this process forget what they imported.
import pytest_ftgate.providers.anthropic  # noqa: F401

CASES = 30
DEADLINE = 60
#: The run of the tool with which a run of the suite hangs.
HANGS = 10
REFUND = '''
def refund(order_id: str) -> str:
    """Pay the money of an order back."""
    return "paid"
'''
SHOP = f'''\
def lookup_order(order_id: str) -> dict:
    """Tell where an order is.

    Args:
        order_id: the number of the order.
    """
    if order_id == "3":
        raise LookupError("no order 3")
    return {{"order": order_id, "state": "shipped"}}
{REFUND}'''
#: Notes each run of the tool, and hangs from a number of them on until a file appears.
HANGING = f'''\
import time
from pathlib import Path

HERE = Path(__file__).parent

def lookup_order(order_id: str) -> str:
    """Tell where an order is."""
    with (HERE / "ran.txt").open("a") as stream:
        stream.write(order_id + "\\n")
    ran = len((HERE / "ran.txt").read_text().splitlines())
    while ran >= {HANGS} and not (HERE / "go").exists():
        time.sleep(0.01)
    return "shipped"
{REFUND}'''
SUITE = """\
cases: shop.cases.jsonl
reply: {score: tool_call}
variants:
  current:
    provider: anthropic
    model: claude-x
    base_url: "ADDRESS"
    api_key_env: SHOP_KEY
    tools: ["shop:lookup_order", "shop:refund"]
  eager: {like: current, model: claude-eager}
gates: {accuracy: {min: 0.5, max_drop: 0.3}}
"""


def reply(asked: dict) -> dict:
    """Look the order up, then answer; the eager model pays it back where the number is odd."""
    messages = asked["messages"]
    number = _number(asked)
    usage = {"input_tokens": 5, "output_tokens": 1}
    said = {"id": "m", "type": "message", "role": "assistant", "model": asked["model"]}
    said |= {"stop_sequence": None, "usage": usage}
    if len(messages) > 1:
        content = [{"type": "text", "text": f"Order {number} is on its way."}]
        return {**said, "content": content, "stop_reason": "end_turn"}
    pays = asked["model"] == "claude-eager" and int(number) % 2
    use = {"type": "tool_use", "id": f"toolu_{number}", "input": {"order_id": number}}
    content = [{**use, "name": "refund" if pays else "lookup_order"}]
    return {**said, "content": content, "stop_reason": "tool_use"}


def _number(asked: dict) -> str:
    return asked["messages"][0]["content"].split()[-1]


@pytest.fixture
def shop(desk, api, monkeypatch):
    """A desk with a suite whose models look orders up."""
    api.pages["/v1/messages"] = reply
    monkeypatch.setenv("SHOP_KEY", "secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    rows = [
        {
            "id": f"o{number}",
            "input": f"Where is order {number}",
            "expected": {"name": "lookup_order", "arguments": {"order_id": str(number)}},
        }
        for number in range(CASES)
    ]
    desk.write_rows("shop.cases.jsonl", rows)
    desk.path("shop.py").write_text(SHOP, "utf-8")
    desk.path("pytest.ini").write_text("[pytest]\nftgate_keys = SHOP_KEY@127.0.0.1\n", "utf-8")
    desk.path("shop.ftgate.yaml").write_text(SUITE.replace("ADDRESS", api.url), "utf-8")
    return desk


def test_a_model_that_calls_another_tool_fails_and_each_call_is_shown(shop):
    result = shop.run("--ftgate-show=2")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "    o1  Where is order 1",
            '      │ expected  lookup_order(order_id="1")',
            "      │ before    Order 1 is on its way.",
            '      │ called    lookup_order(order_id="1") -> {"order":"1","state":"shipped"}',
            "      │ now       Order 1 is on its way.",
            '      │ called    refund(order_id="1") -> "paid"',
            '      │ called    lookup_order(order_id="3") failed: LookupError: no order 3',
        ]
    )


def test_a_second_run_asks_nothing_until_a_tool_changes(shop, api):
    shop.run("-k", "current")
    shop.run("-k", "current")
    assert len(api.requests) == 2 * CASES

    path = shop.path("shop.py")
    path.write_text(path.read_text().replace("shipped", "packed"), "utf-8")
    shop.run("-k", "current")

    assert len(api.requests) == 4 * CASES


@pytest.fixture
def killed(shop):
    """A shop after a run that was killed while a tool ran, between two turns."""
    shop.path("shop.py").write_text(HANGING, "utf-8")
    ran, end = shop.path("ran.txt"), time.monotonic() + DEADLINE
    command = [sys.executable, "-m", "pytest", "--ftgate", "-k", "current"]
    with subprocess.Popen(command, cwd=shop.pytester.path, stdout=subprocess.DEVNULL) as run:
        while len(ran.read_text().split() if ran.exists() else ()) < HANGS:
            assert time.monotonic() < end, "the tool did not hang in time"
            time.sleep(0.02)
        # What is in flight comes home, so that the tools alone are open.
        time.sleep(0.5)
        run.kill()
    shop.path("go").touch()
    return shop


def test_after_a_kill_between_two_turns_no_turn_is_paid_for_and_no_tool_run_twice(killed, api):
    before = len(api.requests)

    killed.run("-k", "current").assert_outcomes(passed=1, deselected=1)

    assert HANGS < before < 2 * CASES
    asked = Counter((_number(one), len(one["messages"])) for one in api.requests)
    assert asked == {(str(n), at): 1 for n in range(CASES) for at in (1, 3)}
    ran = Counter(killed.path("ran.txt").read_text().split())
    assert sorted(ran.values()) == [1] * (CASES - 1) + [2]
