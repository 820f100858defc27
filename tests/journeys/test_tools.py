"""A model looks orders up in the shop: which tools it calls is judged, and shown where it fell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

# Runs in this process forget what they imported.
import pytest_ftgate.providers.anthropic  # noqa: F401

CASES = 30
DEADLINE = 60
#: The run of the tool with which a run of the suite hangs.
HANGS = 10
SHOP = '''\
from pathlib import Path

HERE = Path(__file__).parent


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
def requests():
    """What the API was asked: the text of the case, and how many turns it had before."""
    return list[tuple[str, int]]()


@pytest.fixture
def address(requests):
    """A Messages API on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            requests.append((asked["messages"][0]["content"], len(asked["messages"])))
            body = json.dumps(reply(asked)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shop(desk, address, monkeypatch):
    """A desk with a suite whose models look orders up."""
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
    desk.path("shop.ftgate.yaml").write_text(SUITE.replace("ADDRESS", address), "utf-8")
    return desk


def test_a_model_that_calls_what_is_expected_passes(shop):
    result = shop.run("-k", "current")

    result.assert_outcomes(passed=1, deselected=1)


def test_a_model_that_calls_another_tool_fails_and_each_call_is_shown(shop):
    result = shop.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "    o1  Where is order 1",
            '      │ expected  lookup_order(order_id="1")',
            "      │ before    Order 1 is on its way.",
            '      │ called    lookup_order(order_id="1") -> {"order":"1","state":"shipped"}',
            "      │ now       Order 1 is on its way.",
            '      │ called    refund(order_id="1") -> "paid"',
        ]
    )


def test_a_call_that_failed_is_marked(shop):
    result = shop.run("--ftgate-show=2")

    marked = '      │ called    lookup_order(order_id="3") failed: LookupError: no order 3'
    result.stdout.fnmatch_lines([marked])


def test_a_second_run_asks_nothing(shop, requests):
    shop.run()
    asked = len(requests)
    shop.run()

    assert (asked, len(requests)) == (4 * CASES, 4 * CASES)


def test_a_tool_that_is_not_there_is_a_fault_of_the_suite(shop, requests):
    path = shop.path("shop.py")
    path.write_text(path.read_text().replace("def refund", "def repay"), "utf-8")

    result = shop.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*tools: shop:refund: shop.py has no "refund"*'])
    assert requests == []


def test_a_tool_that_changes_is_asked_about_anew(shop, requests):
    shop.run("-k", "current")
    path = shop.path("shop.py")
    path.write_text(path.read_text().replace("shipped", "packed"), "utf-8")
    shop.run("-k", "current")

    assert len(requests) == 4 * CASES


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


def test_after_a_kill_between_two_turns_no_turn_is_paid_for_twice(killed, requests):
    before = len(requests)

    result = killed.run("-k", "current")

    result.assert_outcomes(passed=1, deselected=1)
    assert HANGS < before < 2 * CASES
    assert Counter(requests) == {
        (f"Where is order {n}", at): 1 for n in range(CASES) for at in (1, 3)
    }


def test_after_a_kill_between_two_turns_no_tool_that_has_run_runs_again(killed):
    killed.run("-k", "current")

    ran = Counter(killed.path("ran.txt").read_text().split())
    assert sorted(ran.values()) == [1] * (CASES - 1) + [2]
