"""A model that uses tools: asked until it answers, whatever becomes of its uses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client import engine as module
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.tools import MAX_RESULT_LENGTH, run_tool_loop
from pytest_ftgate.errors import ReplyError, RequestRejected, RetryableError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall
from pytest_ftgate.requests.tools import build_tool

SHOP = """\
import asyncio
import sys
import threading
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.txt")
ACTIVE = []


@dataclass
class Order:
    id: str
    due: date


def note(what):
    with RUN.open("a") as stream:
        stream.write(f"{what}\\n")

def lookup(order_id: str):
    note(order_id)
    return "shipped"

async def later(order_id: str):
    await asyncio.sleep(0)
    return f"{order_id} is packed"

def order(order_id: str):
    return Order(order_id, date(2026, 1, 2))

def total(count: int, on: date):
    return [count + 1, on.year]

def raises(): raise ValueError("no such order")
def stops(): sys.exit(3)
def skips(): pytest.skip("not here")
def ends(): raise StopIteration
def opaque(): return object()
def interrupted(): raise KeyboardInterrupt
def long(): return "x" * 20_005
def nothing(): return None
def half(): return "so far \\ud83d"

def alone():
    ACTIVE.append(threading.get_ident())
    time.sleep(0.01)
    most = len(ACTIVE)
    ACTIVE.pop()
    return most
"""
NAMES = (
    *("lookup", "later", "order", "total", "raises", "stops", "skips", "ends"),
    *("opaque", "interrupted", "long", "nothing", "half", "alone"),
)


def wants(*uses: tuple, text: str = "") -> Reply:
    """Return a reply that asks for tools, each a name and its arguments."""
    calls = tuple(
        ToolCall(name=name, arguments=given, id=f"id{i}") for i, (name, given) in enumerate(uses)
    )
    return Reply(
        text=text, stop="tool", steps=(Step(text, calls),), usage={"input": 5}, seconds=1.0
    )


class Model:
    """Says what was written down for it, one reply a request; an error is raised."""

    concurrency = 4

    def __init__(self, *script) -> None:
        self.script, self.asked = list(script), []

    async def generate(self, call) -> Reply:
        self.asked.append(call)
        said = self.script[len(self.asked) - 1]
        if isinstance(said, Exception):
            raise said
        return said

    def serves(self, call) -> bool:
        return True

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def shop(tmp_path_factory, call):
    """Make a call with the tools of the shop."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "converse_shop.py").write_text(SHOP, "utf-8")
    tools = tuple(build_tool(f"converse_shop:{name}", folder) for name in NAMES)
    return replace(call("Where is it?"), tools=tools, max_turns=4, folder=folder)


@pytest.fixture
def agent(shop):
    (shop.folder / "run.txt").unlink(missing_ok=True)
    return shop


@pytest.fixture
def stored() -> dict[str, Reply]:
    return {}


@pytest.fixture
def talk(agent, stored):
    """Let a scripted model talk until it has answered."""

    def store(turn, reply) -> None:
        stored[turn.fingerprint] = reply

    def talk(*script, **changes) -> tuple[Reply, Model]:
        model = Model(*script)
        reply = asyncio.run(run_tool_loop(replace(agent, **changes), model.generate, store))
        return reply, model

    return talk


def result(talk, name, given) -> ToolCall:
    """Return what came of one use of a tool."""
    reply, _ = talk(wants((name, given)), Reply(text="done"))
    return reply.tool_calls[0]


# The loop ------------------------------------------------------------------------------------


def test_a_call_without_tools_is_sent_once_as_it_is_and_its_reply_has_the_passages(
    talk, agent, stored
):
    reply, model = talk(Reply(text="hello"), tools=(), max_turns=1)

    assert (reply, model.asked) == (Reply(text="hello"), [replace(agent, tools=(), max_turns=1)])
    assert stored == {}
    passages = (Passage(source="a.md", text="b"),)
    for tools in ({}, {"tools": ()}):
        assert talk(Reply(text="a"), passages=passages, **tools)[0].passages == passages


def test_the_results_go_back_to_the_model_until_it_answers(talk):
    first = wants(("lookup", {"order_id": "17"}), text="Let me see.")
    second = wants(("later", {"order_id": "18"}))

    reply, model = talk(first, second, Reply(text="It was shipped."))

    assert (reply.text, reply.stop) == ("It was shipped.", "end")
    assert [step.text for step in reply.steps] == ["Let me see.", ""]
    assert [use.result for use in reply.tool_calls] == ["shipped", "18 is packed"]
    assert [request.steps for request in model.asked] == [(), reply.steps[:1], reply.steps]


def test_several_uses_of_one_turn_are_run_in_their_order_though_one_fails(talk):
    uses = [("lookup", {"order_id": "1"}), ("raises", {}), ("lookup", {"order_id": "2"})]

    reply, model = talk(wants(*uses), Reply(text="done"))

    assert [(use.name, use.arguments) for use in reply.tool_calls] == uses
    assert [use.failed for use in reply.tool_calls] == [False, True, False]
    assert len(model.asked) == 2


def test_usage_and_seconds_are_those_of_all_turns_and_the_rest_that_of_the_last(talk):
    last = Reply(text="done", usage={"input": 2, "output": 1}, seconds=0.5, request_id="r2")

    reply, _ = talk(wants(("nothing", {})), last)

    assert reply.usage == {"input": 7, "output": 1}
    assert (reply.seconds, reply.request_id) == (1.5, "r2")


@every_row("most", [1, 3])
def test_a_model_that_never_answers_is_asked_as_often_as_it_may_be(talk, most):
    reply, model = talk(*[wants(("nothing", {}))] * most, max_turns=most)

    assert (len(model.asked), reply.stop) == (most, "tool")
    assert [use.result for use in reply.tool_calls] == ["null"] * (most - 1) + [None]


# One use -------------------------------------------------------------------------------------

RESULTS = [
    ("lookup", {"order_id": "1"}, "shipped"),
    ("later", {"order_id": "1"}, "1 is packed"),
    # What is no text is given as JSON.
    ("order", {"order_id": "1"}, '{"id":"1","due":"2026-01-02"}'),
    ("total", {"count": "3", "on": "2026-01-02"}, "[4,2026]"),
    ("nothing", {}, "null"),
    # Half a character is written out.
    ("half", {}, "so far \\ud83d"),
]


@every_row(("name", "given", "said"), RESULTS)
def test_a_result_is_what_the_tool_returned(talk, name, given, said):
    use = result(talk, name, given)

    assert (use.result, use.failed) == (said, False)


FAILURES = [
    ("raises", {}, "ValueError: no such order"),
    ("stops", {}, "SystemExit: 3"),
    ("skips", {}, "Skipped: not here"),
    ("ends", {}, "StopIteration: "),
    ("opaque", {}, "PydanticSerializationError: Unable to serialize"),
    ("lookup", {}, "order_id: Missing required argument"),
    ("lookup", '{"order', 'the arguments are no JSON object: {"order'),
    ("lokup", {}, 'there is no tool "lokup"; did you mean "lookup"?'),
    ("zzz", {}, 'there is no tool "zzz"; known: lookup, later, order'),
]


@every_row(("name", "given", "told"), FAILURES)
def test_a_use_that_fails_is_told_to_the_model_and_is_no_error(talk, name, given, told):
    use = result(talk, name, given)

    assert use.failed
    assert use.result.startswith(told)


def test_an_interrupt_is_no_result(talk):
    with pytest.raises(RequestRejected, match="interrupted was interrupted"):
        talk(wants(("interrupted", {})), Reply(text="done"))


def test_a_long_result_is_cut_and_says_so(talk):
    use = result(talk, "long", {})

    assert use.result == f"{'x' * MAX_RESULT_LENGTH}\n[cut: 5 more characters]"


def test_a_plain_function_is_never_run_twice_at_once(agent):
    async def together():
        models = [Model(wants(("alone", {})), Reply(text="done")) for _ in range(8)]
        both = [run_tool_loop(agent, model.generate, lambda *_: None) for model in models]
        return await asyncio.gather(*both)

    found = asyncio.run(together())

    assert {use.result for reply in found for use in reply.tool_calls} == {"1"}


# Turns in the cache -------------------------------------------------------------------------


@pytest.fixture
def start(open_cache, monkeypatch, request):
    """Start an engine whose provider is a scripted model."""

    def started(model: Model, run: str = "run-1", **options) -> Engine:
        monkeypatch.setattr(module, "open_provider", lambda *_: model)
        monkeypatch.setattr(RetryPolicy, "_backoff", lambda *_: 0.001)
        engine = Engine(open_cache(run), {}, **options)
        request.addfinalizer(engine.close)
        return engine

    return started


def answer(engine, call):
    return engine.wait([call])[call.fingerprint]


def runs(agent) -> list[str]:
    return (agent.folder / "run.txt").read_text().split()


def test_a_transient_error_repeats_only_the_turn_that_met_it(start, agent):
    script = (wants(("lookup", {"order_id": "1"})), RetryableError("busy"), Reply(text="done"))
    model = Model(*script)

    assert answer(start(model), agent).text == "done"
    assert [len(request.steps) for request in model.asked] == [0, 1, 1]
    assert runs(agent) == ["1"]


def test_turns_that_were_answered_before_a_failure_are_neither_asked_nor_run_again(start, agent):
    first = Model(wants(("lookup", {"order_id": "1"})), RequestRejected("not today"))
    assert isinstance(answer(start(first), agent), RequestRejected)

    second = Model(Reply(text="done"))
    reply = answer(start(second, "run-2"), agent)

    assert (reply.text, [use.result for use in reply.tool_calls]) == ("done", ["shipped"])
    assert [len(request.steps) for request in second.asked] == [1]
    assert runs(agent) == ["1"]


def test_a_turn_is_named_by_the_call_and_by_what_was_done_since(start, agent):
    one, two = (Model(wants(("lookup", {"order_id": n})), Reply(text="done")) for n in "12")
    answer(start(one), agent)
    answer(start(two, "run-2", replies="fresh"), agent)

    names = [request.fingerprint for model in (one, two) for request in model.asked]
    assert names[0] == names[2]
    assert len({agent.fingerprint, *names}) == 4


def test_a_run_that_ends_between_two_turns_asks_no_further_one(start, agent, soon, tmp_path):
    (tmp_path / "slow_shop.py").write_text(
        "import time\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "def wait():\n    (HERE / 'waits').touch()\n"
        "    while not (HERE / 'go').exists():\n        time.sleep(0.005)\n",
        "utf-8",
    )
    waiting = replace(agent, tools=(build_tool("slow_shop:wait", tmp_path),))
    model = Model(wants(("wait", {})), Reply(text="never"))
    engine = start(model)
    engine.submit([waiting])
    soon((tmp_path / "waits").exists)
    ending = asyncio.run_coroutine_threadsafe(engine._finish(), engine._loop)
    soon(engine._ending.is_set)
    (tmp_path / "go").touch()
    ending.result(20)

    ended = engine.results.get(waiting.fingerprint)
    assert (type(ended), len(model.asked)) == (ReplyError, 1)
    assert str(ended) == "the run ended between two turns of this request"


def test_a_tool_that_is_gone_when_it_is_run_is_an_error_of_the_call(start, agent):
    gone = replace(agent.tools[0], reference="converse_shop:gone")
    model = Model(wants(("lookup", {"order_id": "1"})), Reply(text="done"))

    ended = answer(start(model), replace(agent, tools=(gone,)))

    assert 'converse_shop has no function "gone"' in str(ended)
