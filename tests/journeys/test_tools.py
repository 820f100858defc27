"""A model looks orders up in the shop: which tools it calls is judged, and shown where it fell."""

from __future__ import annotations

import pytest

# Runs in this process forget what they imported.
import pytest_ftgate.providers.anthropic  # noqa: F401

CASES = 30
SHOP = '''\
def lookup_order(order_id: str) -> dict:
    """Tell where an order is.

    Args:
        order_id: the number of the order.
    """
    if order_id == "3":
        raise LookupError("no order 3")
    return {"order": order_id, "state": "shipped"}

def refund(order_id: str) -> str:
    """Pay the money of an order back."""
    return "paid"
'''
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
    number = messages[0]["content"].split()[-1]
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
    result = shop.run("-oftgate_show=2")

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
