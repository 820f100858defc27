"""An exception that nothing expects, anywhere in the engine's thread, ends the run: none waits."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable

import pytest
from ftgate_testing.scripted import Scripted, trouble
from ftgate_testing.tables import every_row

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client import batches as batches_module
from pytest_ftgate.client import engine as engine_module
from pytest_ftgate.client.batches import Batches
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RateLimiter
from pytest_ftgate.client.results import PeerWaiter, Results
from pytest_ftgate.client.scheduler import Phases, Scheduler, SlotLease, Slots
from pytest_ftgate.errors import EngineError, ReplyError, RetryableError
from pytest_ftgate.providers.base import Provider, open_provider
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.reply import Reply

#: Seconds after which a wait counts as one without an end.
FOREVER = 30


def within_reason(function: Callable[[], object]) -> BaseException | object:
    """Return what *function* returns or raises; fail if it does neither."""
    ended: list[BaseException | object] = []

    def call() -> None:
        try:
            ended.append(function())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(FOREVER)
    assert ended, "it waits without an end"
    return ended[0]


def broken(*_: object, **__: object) -> None:
    raise LookupError("nobody expects this")


def leaves(*_: object, **__: object) -> None:
    raise SystemExit(4)


def misreads(*_: object, **__: object) -> None:
    json.loads("{")


#: Each function that runs in the engine's thread, and whose error no request would get.
PLACES = [
    *((Engine, name) for name in ("_unsettled", "_send", "_schedule", "_scheduler")),
    (Phases, "admit"),
    *((Scheduler, name) for name in ("add", "send_waiting", "_start", "_has_open_provider")),
    *((Slots, name) for name in ("grant", "acquire", "_adapt")),
    (SlotLease, "release"),
    (RateLimiter, "has_capacity"),
    *((Results, name) for name in ("settle", "cached_replies")),
]


@pytest.fixture
def broken_engine(start, call):
    """Return a function that starts an engine, one place of which raises after the first reply."""

    def started(patch, place, raises) -> Engine:
        engine: Engine = start()
        engine.wait([call("first")])
        patch.setattr(*place, raises)
        return engine

    return started


@every_row("raises", [broken, leaves])
@every_row("place", PLACES)
def test_an_unexpected_exception_ends_the_wait_and_every_later_one(
    broken_engine, call, monkeypatch, open_cache, place, raises
):
    engine = broken_engine(monkeypatch, place, raises)
    # No row reads the replies of another one.
    row = f"of {place[1]} and {raises.__name__}"

    # A reply may come although what follows it breaks.
    within_reason(lambda: engine.wait([call(f"second {row}")]))
    error = within_reason(lambda: engine.wait([call(f"third {row}")]))
    within_reason(engine.close)

    assert isinstance(error, EngineError), error
    line = raises.__code__.co_firstlineno + 1
    assert f"test_engine_failures.py:{line}; the run ends, and every reply" in str(error)
    assert type(engine.failure.cause) in (LookupError, SystemExit)
    assert open_cache().replies([call("first").fingerprint])


#: What a provider of the package, or the way of its reply to the cache, may raise by mistake.
MISTAKES = [KeyError("choices"), MemoryError(), RecursionError("too deep"), SystemExit(0)]
MISTAKES += [KeyboardInterrupt(), asyncio.CancelledError(), AssertionError("never")]


@pytest.mark.parametrize("error", MISTAKES, ids=lambda error: type(error).__name__)
def test_what_a_provider_of_the_package_raises_by_mistake_ends_the_run(
    start, call, providers, open_cache, error
):
    happens = trouble(error)
    providers["m"].happens = lambda text, ask: text if text != "b" else happens(text, ask)
    engine = start(concurrency=1)

    raised = within_reason(lambda: engine.wait([call(text) for text in "abc"]))
    within_reason(engine.close)

    assert isinstance(raised, EngineError), raised
    assert raised.cause is error
    assert f"unexpected {type(error).__name__}" in str(raised)
    assert open_cache().replies([call("a").fingerprint])


#: What a reply passes on its way: the claim of its request, a slot, the cache.
ON_THE_WAY = [(Cache, "claim_all"), (Cache, "store_all"), (engine_module, "redact_reply")]
ON_THE_WAY += [(SlotLease, "_send_within_budget"), (RateLimiter, "record_reply")]


@every_row("error", MISTAKES)
@every_row("place, provider", zip(ON_THE_WAY, ["python", "one of a plugin"] * 3, strict=False))
def test_an_error_on_the_way_of_a_reply_is_never_a_missing_reply(
    start, call, monkeypatch, provider, place, error
):
    def raises(*_: object) -> None:
        raise error

    engine = start()
    engine.wait([call("first")])
    monkeypatch.setattr(*place, raises)

    second = call(f"{type(error).__name__} in {place[1]}", provider=provider)
    raised = within_reason(lambda: engine.wait([second]))
    monkeypatch.undo()
    within_reason(engine.close)

    assert isinstance(raised, EngineError), raised
    assert {type(result) for result in engine.results.values()} == {Reply}


def cancels(*_: object) -> None:
    raise asyncio.CancelledError


async def cancelled(*_: object) -> None:
    cancels()


#: What may break before any reply, and the request that meets it.
BREAKS = [
    ((engine_module, "import_providers"), broken, {}),
    ((RecordedReplies, "reply"), broken, {"provider": "recorded"}),
    ((Batches, "_run_group"), broken, {"provider": "anthropic", "batch": True}),
    ((Batches, "_run_group"), cancelled, {"provider": "anthropic", "batch": True}),
    ((batches_module, "open_batch_api"), broken, {"provider": "anthropic", "batch": True}),
    ((engine_module, "open_provider"), cancels, {}),
]


@every_row(("place", "raises", "asked"), BREAKS)
def test_what_breaks_before_any_reply_ends_the_run(start, call, monkeypatch, place, raises, asked):
    monkeypatch.setattr(*place, raises)
    engine = start()

    for _ in range(2):
        assert isinstance(within_reason(lambda: engine.wait([call("a", **asked)])), EngineError)
    within_reason(engine.close)


@pytest.mark.parametrize("error", [LookupError("boom"), SystemExit(0)])
def test_an_end_that_breaks_is_a_failure_and_leaves_nothing_open(start, call, monkeypatch, error):
    async def ends(*_: object) -> None:
        raise error

    engine = start()
    engine.wait([call("a")])
    monkeypatch.setattr(Engine, "_finish", ends)

    assert within_reason(engine.close) is None

    assert engine.failure.cause is error
    assert engine._loop.is_closed()


def test_no_key_is_in_what_is_told_of_a_failure(start, call, providers):
    secrets = {"OPENAI_API_KEY": "sk-very-secret-0123456789", "MINE": "another-0123456789"}
    providers["m"].happens = trouble(ValueError(f"no header may be {[*secrets.values()]}"))
    engine = start(environ=secrets)

    error = within_reason(lambda: engine.wait([call("a", api_key_env="MINE")]))

    assert isinstance(error, EngineError)
    assert "no header may be" in str(error)
    assert "no header may be" in error.traceback
    assert not [value for value in secrets.values() if value in f"{error}{error.traceback}"]


def test_what_breaks_in_a_library_is_told_at_the_line_that_calls_it(
    broken_engine, call, monkeypatch
):
    engine = broken_engine(monkeypatch, (Engine, "_send"), misreads)

    error = within_reason(lambda: engine.wait([call("second")]))

    line = misreads.__code__.co_firstlineno + 1
    assert f"test_engine_failures.py:{line}; the run ends" in str(error)


def test_what_breaks_in_a_library_alone_is_told_at_its_last_line():
    with pytest.raises(ValueError, match="Expecting") as raised:
        json.loads("{")
    raised.value.__traceback__ = raised.tb.tb_next  # without this function

    assert re.search(r"json/decoder\.py:\d+; the run ends", str(EngineError(raised.value)))


def test_replies_that_are_on_their_way_are_kept(
    start, call, providers, open_cache, soon, monkeypatch
):
    providers["m"].open.clear()
    engine = start()
    engine.submit([call("a"), call("b")])
    soon(lambda: providers["m"].at_once == 2)

    monkeypatch.setattr(Engine, "_send", broken)
    error = within_reason(lambda: engine.wait([call("c")]))
    monkeypatch.undo()
    providers["m"].open.set()
    within_reason(engine.close)

    assert isinstance(error, EngineError)
    fingerprints = [call(text).fingerprint for text in "ab"]
    assert open_cache().replies(fingerprints).keys() == {*fingerprints}


def test_a_key_that_cannot_be_looked_up_ends_the_run(start, call):
    engine = start()
    engine.refusal = broken

    for _ in range(2):
        assert isinstance(within_reason(lambda: engine.wait([call("a")])), EngineError)


def test_a_look_for_the_replies_of_others_that_breaks_ends_the_run(
    start, call, open_cache, monkeypatch
):
    open_cache().claim(call("a").fingerprint)
    monkeypatch.setattr(PeerWaiter, "_look", broken)
    engine = start()

    within_reason(lambda: engine.wait([call("a")]))

    assert isinstance(engine.failure.cause, LookupError)
    assert isinstance(within_reason(lambda: engine.wait([call("b")])), EngineError)
    within_reason(engine.close)


# What a plugin's provider does


class House(Provider):
    """A provider that answers, and whose other parts a test breaks."""

    async def generate(self, request) -> Reply:
        return Reply(text=request.messages[0][1])


def house_with(**parts) -> type[Provider]:
    return type("Broken", (House,), parts)


async def overcounts(self, request) -> Reply:
    return Reply(text="paid for", model=17, usage={"input": "many"})


async def leaves_at_the_end(self) -> None:
    leaves()


def is_first(self, request) -> bool:
    return request.messages[0][1] == "first"


#: What breaks outside a request, and whether it does so in this file.
OUTSIDE = [
    (house_with(rate_limit_headers=property(broken)), True),
    (house_with(generate=overcounts), False),
    (house_with(serves=lambda self, request: is_first(self, request) or leaves()), True),
    (house_with(serves=is_first, close=leaves_at_the_end), True),
]


@pytest.fixture
def house(start, monkeypatch):
    """Start an engine whose requests *house* answers."""

    def started(provider: type[Provider], **options) -> Engine:
        factories = {"house": provider}
        monkeypatch.setattr(engine_module, "open_provider", open_provider)
        return start(plugin_providers=factories, **options)

    return started


@pytest.mark.parametrize(("provider", "is_here"), OUTSIDE)
def test_a_provider_that_breaks_outside_a_request_ends_the_run(house, call, provider, is_here):
    engine = house(provider)
    requests = [call(text, provider="house") for text in ("first", "second", "third")]

    error = within_reason(lambda: [engine.wait([request]) for request in requests])
    within_reason(engine.close)

    assert isinstance(error, EngineError), error
    assert ("test_engine_failures.py:" in str(error)) is is_here


def test_a_reply_that_is_paid_for_is_kept_although_its_cost_cannot_be_read(house, call, open_cache):
    class Priceless:
        def stop_reason(self) -> None:
            return None

        record_cost = broken

    engine = house(House, budget=Priceless())
    request = call("a", provider="house")

    assert isinstance(within_reason(lambda: engine.wait([request])), EngineError | dict)
    within_reason(engine.close)

    assert isinstance(engine.failure.cause, LookupError)
    assert open_cache().replies([request.fingerprint])


def raising(error: BaseException) -> type[Provider]:
    async def generate(self, request) -> Reply:
        raise error

    return house_with(generate=generate)


def raising_many(error: BaseException) -> type[Provider]:
    async def generate_many(self, requests):
        return [error for _ in requests]

    return type("Many", (Provider,), {"generate_many": generate_many})


RAISING = [raising(asyncio.CancelledError()), raising(RetryableError("later", retry_after="soon"))]
RAISING += [raising_many(StopIteration("no more")), raising_many(asyncio.CancelledError())]


@pytest.mark.parametrize("provider", RAISING)
def test_what_a_provider_raises_for_one_request_is_its_error(house, call, provider):
    engine = house(provider)
    request = call("a", provider="house")

    results = within_reason(lambda: engine.wait([request]))

    assert isinstance(results, dict | EngineError), results
    assert isinstance(results, EngineError) or isinstance(results[request.fingerprint], ReplyError)


def test_a_provider_that_leaves_on_closing_ends_nothing(start, call, providers):
    class Leaving(Scripted):
        async def close(self) -> None:
            raise SystemExit(7)

    providers["m"] = Leaving()
    engine = start()
    engine.wait([call("a"), call("b", model="n")])

    assert within_reason(engine.close) is None
    assert (engine.failure, providers["n"].closed) == (None, 1)
