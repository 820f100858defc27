"""Calls asked from the nodes of a Ray cluster: a real one, of two nodes on this machine."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from ftgate_testing.batching import answers_of
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate import Provider, ProviderRejected, Reply, RetryableError
from pytest_ftgate.client import ray as ray_module
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.ray import provider_environment
from pytest_ftgate.errors import ConfigurationError, ReplyError, RequestRejected

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "pytest-ftgate[ray]"')

from ray.cluster_utils import Cluster  # noqa: E402

from pytest_ftgate.client.ray import RayEngine  # noqa: E402

SECRET = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, of which the second may be lost; this process is at the first."""
    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    ray.init(running.address, log_to_driver=False, logging_level=logging.ERROR)
    running.add_node(num_cpus=2)
    yield running
    ray.shutdown()
    running.shutdown()


@pytest.fixture
def start(cluster, open_cache, request):
    def started(run: str = "run-1", environ=None, engine=RayEngine, **options) -> Engine:
        made = engine(open_cache(run), environ or {}, **options)
        request.addfinalizer(made.close)
        return made

    return started


@pytest.fixture
def asked(call):
    """Make calls to a server of chat completions."""

    def made(server, count: int, **changes):
        where = {"provider": "openai-compatible", "base_url": f"{server.url}/v1", **changes}
        return [call(f"case {n}", **where) for n in range(count)]

    return made


def echo(request) -> Said:
    return Said(request["messages"][-1]["content"])


def slowly(request) -> Said:
    time.sleep(0.05)
    return echo(request)


def test_each_call_gets_its_own_reply_and_is_sent_once(start, asked):
    with chat_server(echo) as server:
        calls = asked(server, 200)
        texts = [reply.text for reply in answers_of(start(), calls)]

    assert texts == [f"case {n}" for n in range(200)]
    assert len(server.requests) == 200


def test_a_reply_is_that_of_the_engine_of_one_machine(start, asked):
    with chat_server(echo) as server:
        calls = asked(server, 20)
        away = answers_of(start(), calls)
        here = answers_of(start("run-2", engine=Engine, replies="fresh"), calls)

    told = [[(r.text, r.stop, r.model, r.usage, r.facts) for r in one] for one in (away, here)]
    assert told[0] == told[1]


def test_replies_come_home_one_by_one_and_are_on_disk_at_once(start, asked, open_cache, soon):
    open_ = threading.Event()

    def answer(request):
        if request["messages"][-1]["content"] != "case 0":
            return echo(request)
        open_.wait(20)
        return echo(request)

    with chat_server(answer) as server:
        calls = asked(server, 60)
        engine = start()
        engine.submit(calls)
        reader = open_cache("reader")
        soon(lambda: len(reader.replies(call.fingerprint for call in calls)) == 59)
        assert engine.progress.received == 59
        open_.set()
        assert len(answers_of(engine, calls)) == 60


def test_both_nodes_ask(start, call):
    class Where(Provider):
        async def generate(self, call):
            await asyncio.sleep(0.01)
            return Reply(text=ray.get_runtime_context().get_node_id())

    calls = [call(str(n), provider="where") for n in range(100)]
    seen = Counter(r.text for r in answers_of(start(plugin_providers={"where": Where}), calls))

    assert len(seen) == 2


def test_passing_trouble_is_waited_out_on_the_node(start, call):
    class Shaky(Provider):
        asked = 0

        async def generate(self, call):
            Shaky.asked += 1
            if Shaky.asked < 3:
                raise RetryableError("busy", retry_after=0.01)
            return Reply(text=str(Shaky.asked))

    (reply,) = answers_of(start(plugin_providers={"shaky": Shaky}), [call("a", provider="shaky")])

    assert reply.text == "3"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RequestRejected("bad"), RequestRejected),
        (ProviderRejected("no"), ProviderRejected),
        (ValueError("odd"), RequestRejected),
    ],
)
def test_what_a_provider_raises_on_a_node_ends_the_call_as_it_does_here(start, call, error, kind):
    class Bad(Provider):
        async def generate(self, call):
            raise error

    (answer,) = answers_of(start(plugin_providers={"bad": Bad}), [call("a", provider="bad")])

    assert type(answer) is kind
    assert str(error) in str(answer)


def test_a_mistake_on_a_node_is_no_error_of_the_call(call, monkeypatch):
    def opens(*_):
        raise KeyError("model")

    monkeypatch.setattr(ray_module, "open_provider", opens)
    worker = ray_module.RayWorker([call("a")], ray_module.WorkerEnvironment({}), None)

    error = asyncio.run(worker.generate(call("a")))

    assert (type(error), str(error)) == (RuntimeError, "KeyError: 'model'")


def test_a_provider_that_cannot_be_opened_on_a_node_says_why(start, call):
    calls = [call("a", provider="python", function="no_such_module:answer")]

    (answer,) = answers_of(start(), calls)

    assert type(answer) is ConfigurationError
    assert "no_such_module" in str(answer)


def test_a_provider_that_cannot_be_sent_says_so(start, call):
    lock = threading.Lock()

    class Held(Provider):
        async def generate(self, call):
            with lock:
                return Reply(text="")

    (answer,) = answers_of(start(plugin_providers={"held": Held}), [call("a", provider="held")])

    assert type(answer) is ConfigurationError
    assert str(answer).startswith("provider held cannot be sent to the cluster: ")


def test_a_key_reaches_the_node_and_no_log(start, call, capfd):
    class House(Provider):
        def __init__(self, calls, environ):
            self.key = environ[calls[0].api_key_env]

        async def generate(self, call):
            return Reply(text=f"{sha256(self.key.encode()).hexdigest()} of {self.key}")

    calls = [call("a", provider="house", api_key_env="HOUSE_KEY")]
    engine = start(environ={"HOUSE_KEY": SECRET}, plugin_providers={"house": House})

    told = f"{sha256(SECRET.encode()).hexdigest()} of [HOUSE_KEY]"
    assert [reply.text for reply in answers_of(engine, calls)] == [told]
    logs = [path.read_text(errors="replace") for path in session_logs()]
    assert logs
    assert not [text for text in [*logs, *capfd.readouterr()] if SECRET in text]


def session_logs():
    folder = Path(ray._private.worker._global_node.get_session_dir_path())
    return [path for path in (folder / "logs").rglob("*") if path.is_file()]


def test_only_variables_that_the_calls_name_are_handed_over(call):
    environ = {"TEAM_KEY": "a", "OPENAI_API_KEY": "b", "AWS_REGION": "c", "HOME": "d"}
    named = call("a", provider="house", api_key_env="TEAM_KEY")
    hosted = call("a", provider="openai-compatible")

    assert provider_environment([named], environ) == {"TEAM_KEY": "a"}
    assert provider_environment([hosted], environ) == {"OPENAI_API_KEY": "b"}
    assert provider_environment([call("a", provider="bedrock")], environ) == {"AWS_REGION": "c"}


def test_closing_gives_up_what_was_not_sent_and_waits_for_no_further_attempt(start, call, soon):
    class Busy(Provider):
        concurrency = 1

        async def generate(self, call):
            raise RetryableError("busy", retry_after=60)

    calls = [call(str(n), provider="busy") for n in range(5)]
    engine = start(plugin_providers={"busy": Busy})
    engine.submit(calls)
    soon(lambda: bool(engine._pools), seconds=60)
    began = time.monotonic()
    engine.close()

    ended = [engine.results.get(one.fingerprint) for one in calls]
    assert time.monotonic() - began < 30
    assert {type(answer) for answer in ended} == {ReplyError}


def test_a_lost_node_loses_no_call(start, asked, cluster, soon):
    with chat_server(slowly) as server:
        node = cluster.add_node(num_cpus=2)
        calls = asked(server, 400)
        engine = start()
        engine.submit(calls)
        soon(lambda: len(server.requests) >= 100, seconds=60)
        cluster.remove_node(node, allow_graceful=False)
        answers = answers_of(engine, calls)
        texts = [getattr(answer, "text", str(answer)) for answer in answers]

    assert texts == [f"case {n}" for n in range(400)]
    # What was in flight on the lost node is asked again, and nothing else.
    assert 400 < len(server.requests) <= 400 + 16
