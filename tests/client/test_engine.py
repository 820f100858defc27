"""The engine: what it asks, how often, in which order, and how each call ends."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from ftgate_testing.scripted import Scripted, outcome, trouble
from ftgate_testing.tables import every_row

from pytest_ftgate.client import engine as module
from pytest_ftgate.client.budget import Progress
from pytest_ftgate.client.rate_limit import UNREACHABLE, RetryPolicy
from pytest_ftgate.client.results import Results
from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    NotRecorded,
    ProviderRejected,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.requests.reply import Reply

OTHER_PROCESS = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
call = Request(fingerprint=sys.argv[3], provider="python", model="", messages=(), max_tokens=1,
    sampling={})
cache = Cache(Path(sys.argv[1]), run=sys.argv[2], clock=time.time)
print(cache.claim(sys.argv[3]), flush=True)
sys.stdin.readline()
cache.store(call, Reply(text="theirs"))
sys.stdin.readline()
"""


@pytest.fixture
def kept(start, call):
    """Let an earlier run send a request, and end it."""

    def run(text: str) -> None:
        first = start()
        first.wait([call(text)])
        first.close()

    return run


def ask(engine, *calls):
    """Return what becomes of *calls*: the text of each reply, or the error."""
    return outcome(engine.wait(calls), calls)


def test_a_request_whose_key_must_not_be_sent_there_is_not_sent(start, call, providers):
    engine = start()
    engine.refusal = lambda request: "no" if request.base_url else ""

    results = engine.wait([call("a", base_url="https://evil.example"), call("b")])

    assert [type(result) for result in results.values()] == [ConfigurationError, Reply]
    assert providers["m"].asked == ["b"]


# What is asked, and in which order


def test_a_call_is_asked_once_however_often_it_is_handed_in(start, call, providers):
    engine = start()
    engine.submit([call("a"), call("a"), call("b")])
    engine.submit([call("b")])
    engine.wait([call("a"), call("b"), call("a")])
    engine.wait([call("a")])
    assert Counter(providers["m"].asked) == {"a": 1, "b": 1}


def test_calls_are_asked_in_the_order_they_were_handed_in(start, call, providers):
    engine = start(concurrency=1)
    engine.submit([call(text) for text in "dab"])
    engine.submit([call(text) for text in "zdc"])
    engine.wait([call(text) for text in "dabzc"])
    assert providers["m"].asked == list("dabzc")


def test_requests_that_a_caller_waits_for_go_before_the_queue(start, call, providers, soon):
    providers["m"].open.clear()
    engine = start(concurrency=1)
    engine.submit([call(text) for text in "dab"])
    soon(lambda: providers["m"].at_once == 1)

    seen = []

    def tick(progress: Progress) -> None:
        seen.append(progress.planned)
        providers["m"].open.set()

    assert outcome(engine.wait([call("z"), call("c")], tick), [call("z"), call("c")]) == ["z", "c"]
    assert providers["m"].asked[:3] == list("dzc")
    assert seen[0] == 5


@pytest.mark.parametrize(("option", "most"), [(None, 4), (2, 2), (1, 1)])
def test_as_many_calls_are_in_flight_as_may_be_and_no_more(
    start, call, providers, soon, option, most
):
    provider = providers["m"]
    provider.open.clear()
    engine = start(concurrency=option)
    calls = [call(text) for text in "abcdefghijkl"]
    engine.submit(calls)
    soon(lambda: provider.at_once == most)
    provider.open.set()
    engine.wait(calls)
    assert provider.most_at_once == most


def test_each_model_has_its_own_slots(start, call, providers, soon):
    providers["m"].open.clear()
    engine = start(concurrency=1)
    slow, quick = call("a"), call("b", model="n")
    engine.submit([slow, quick])
    assert ask(engine, quick) == ["b"]
    soon(lambda: providers["m"].at_once == 1)


def test_calls_handed_in_the_moment_the_last_one_is_answered_are_answered(start, call):
    engine = start()
    for i in range(100):
        engine.submit([call(str(i))])
        assert ask(engine, call(str(i))) == [str(i)]


def test_progress_tells_what_became_of_the_calls(start, call, providers, kept):
    kept("kept")
    refused = trouble(RequestRejected("bad"))
    providers["m"] = Scripted(lambda text, ask: text if text != "bad" else refused(text, ask))
    engine = start("run-2")
    assert engine.progress == Progress()
    engine.wait([call(text) for text in ("kept", "new", "bad")])
    done = engine.progress
    assert (done.planned, done.reused, done.received, done.failed, done.to_send) == (3, 1, 1, 1, 2)
    assert done.seconds > 0
    # The reply and the failure, not what the cache had.
    assert 0 < done.rate * done.seconds <= 2.5


# Retries


def test_a_passing_error_is_retried_with_longer_and_longer_backoff(
    start, call, providers, backoffs
):
    providers["m"].happens = trouble(RetryableError("busy", retry_after=0.1), times=3)
    assert ask(start(), call("a")) == ["a"]
    assert backoffs == [(0, 0.1), (1, 0.1), (2, 0.1)]


@pytest.fixture
def paused(monkeypatch):
    """Note what the pauses are made from, and make none."""
    made: list[tuple[float, float]] = []

    def backoff(self, retries, retry_after, limits) -> float:
        made.append((limits.first, limits.longest))
        return 0.001

    monkeypatch.setattr(RetryPolicy, "_backoff", backoff)
    return made


@pytest.mark.parametrize("found", [(["good"], 10, (0.02, 0.3)), ([], 6, (0.5, 8.0))])
def test_a_server_that_answers_others_is_asked_again_sooner_and_more_often(
    start, call, providers, paused, found
):
    others, attempts, limits = found
    busy = trouble(RetryableError("busy"))
    providers["m"].happens = lambda text, ask: text if text == "good" else busy(text, ask)
    engine = start()
    engine.wait([call(text) for text in others])
    (answer,) = ask(engine, call("bad"))

    assert type(answer) is ReplyError
    assert str(answer) == f"no reply in {attempts} attempts; last: busy"
    assert providers["m"].asked.count("bad") == attempts
    assert set(paused) == {limits}


backoff = RetryPolicy(asyncio.Event())._backoff


@every_row(("attempt", "most"), [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 8), (9, 8)])
def test_pauses_double_up_to_the_longest_and_are_spread(attempt, most):
    pauses = {backoff(attempt, None, UNREACHABLE) for _ in range(20)}
    assert 0.75 * most <= min(pauses) < max(pauses) <= most


@every_row(("asked_for", "waited"), [(0.0, 0.0), (7.5, 7.5), (4_294_967, 60.0)])
def test_the_wait_that_a_server_asks_for_is_honoured_up_to_a_minute(asked_for, waited):
    assert backoff(0, asked_for, UNREACHABLE) == waited


# Trouble


def test_a_refused_call_is_not_tried_again_and_touches_no_other(start, call, providers):
    bad = RequestRejected("bad request")
    providers["m"].happens = lambda text, ask: text if text != "b" else trouble(bad)(text, ask)
    calls = [call(text) for text in "abc"]
    assert ask(start(concurrency=1), *calls) == ["a", bad, "c"]
    assert providers["m"].asked == list("abc")


def test_a_denied_call_ends_its_model_at_once_and_all_that_wait_get_it(start, call, providers):
    denied = ProviderRejected("no such key")
    providers["m"].happens = trouble(denied)
    engine = start(concurrency=1)
    calls = [call(text) for text in "abcdef"]
    assert ask(engine, *calls) == [denied] * 6
    late = [call("late")]
    assert ask(engine, *late) == [denied]
    assert providers["m"].asked == ["a"]


def test_a_provider_that_cannot_be_opened_answers_all_its_calls_with_why(start, call, monkeypatch):
    error = ConfigurationError("no weights")

    def opened(calls, *rest):
        raise error

    monkeypatch.setattr(module, "open_provider", opened)
    calls = [call(text) for text in "abc"]
    assert ask(start(), *calls) == [error] * 3


def test_a_failed_call_is_free_to_be_asked_by_the_next_run(start, call, providers):
    providers["m"].happens = trouble(RequestRejected("not today"), times=1)
    calls = [call("a")]
    first = start()
    first.wait(calls)
    first.close()
    assert ask(start("run-2"), *calls) == ["a"]


def drop_replies(engine) -> None:
    with closing(sqlite3.connect(engine._cache.path)) as db, db:
        db.execute("DROP TABLE replies")


def test_a_cache_that_breaks_while_looking_is_told_to_every_call(start, call):
    engine = start()
    drop_replies(engine)
    for _ in range(2):
        answers = ask(engine, call("a"), call("b"))
        assert [type(answer) for answer in answers] == [CacheError] * 2


def test_a_cache_that_breaks_while_keeping_is_told_to_the_call(
    start, call, providers, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    engine = start()
    providers["m"].happens = lambda text, _: drop_replies(engine) or text
    (answer,) = ask(engine, call("a"))
    assert isinstance(answer, CacheError)
    assert "no such table" in str(answer)


# The cache


def test_the_next_run_reuses_what_is_kept_and_asks_the_rest(start, call, providers, kept):
    kept("a")
    assert ask(start("run-2"), call("a"), call("b")) == ["a", "b"]
    assert providers["m"].asked == ["a", "b"]


def test_recorded_mode_gives_what_is_kept_and_never_asks(start, call, providers, kept):
    kept("a")
    found, missing = ask(start("run-2", replies="recorded"), call("a"), call("b"))
    told = "no reply is recorded for this request; send it with --ftgate-replies=auto"
    assert (found, type(missing), str(missing)) == ("a", NotRecorded, told)
    assert providers["m"].asked == ["a"]


def test_fresh_mode_asks_again_but_once_a_run(start, call, providers):
    providers["m"].happens = lambda text, ask: f"{text}{ask}"
    calls = [call("a")]
    for run, said in [("run-1", "a1"), ("run-2", "a2"), ("run-2", "a2")]:
        engine = start(run, replies="fresh")
        assert ask(engine, *calls) == [said]
        engine.close()


# Other processes on the same cache


@pytest.fixture
def other_process(start_python, tmp_path, call):
    """Start a process that has claimed a call of the same run."""

    def claimed(text: str, run: str = "run-1"):
        path = str(tmp_path / "replies.sqlite")
        process = start_python(OTHER_PROCESS, path, run, call(text).fingerprint)
        assert process.stdout.readline() == "True\n"
        return process

    return claimed


@pytest.mark.parametrize("mode", ["auto", "fresh"])
def test_a_call_that_another_process_asks_is_awaited_and_not_asked(
    start, call, providers, other_process, mode
):
    process = other_process("a")
    engine = start(replies=mode)
    calls = [call("a"), call("b")]
    engine.submit(calls)
    engine.wait(calls[1:])
    assert not engine.results.get(call("a").fingerprint)
    process.stdin.write("\n")
    process.stdin.flush()
    assert ask(engine, *calls) == ["theirs", "b"]
    assert providers["m"].asked == ["b"]
    assert (engine.progress.reused, engine.progress.received) == (1, 1)


def test_a_reply_that_another_process_stored_since_the_look_up_is_used(
    start, call, providers, open_cache, monkeypatch
):
    open_cache("run-0").store(call("a"), Reply(text="theirs"))
    looks, look = [], Results.cached_replies

    def early(self, requests):
        looks.append(requests)
        return look(self, requests) if len(looks) > 1 else {}

    monkeypatch.setattr(Results, "cached_replies", early)

    assert ask(start(), call("a")) == ["theirs"]
    assert providers["m"].asked == []


def test_a_call_whose_asker_was_killed_is_asked(start, call, providers, other_process):
    process = other_process("a")
    engine = start()
    engine.submit([call("a"), call("b")])
    engine.wait([call("b")])
    process.kill()
    process.wait()
    assert ask(engine, call("a")) == ["a"]


# The end


def test_closing_gives_up_what_was_not_sent_and_keeps_what_comes_home(
    start, call, providers, soon, open_cache
):
    provider = providers["m"]
    provider.open.clear()
    engine = start(concurrency=2)
    calls = [call(text) for text in "abcd"]
    engine.submit(calls)
    soon(lambda: provider.at_once == 2)
    closing = threading.Thread(target=engine.close)
    closing.start()
    soon(lambda: engine.results.get(calls[3].fingerprint) is not None)
    provider.open.set()
    closing.join(20)
    ended = [engine.results.get(c.fingerprint) for c in calls]
    assert [type(answer) for answer in ended] == [Reply, Reply, ReplyError, ReplyError]
    assert str(ended[3]) == "the run ended before this request was sent"
    assert len(open_cache("reader").replies(c.fingerprint for c in calls)) == 2
    assert (provider.asked, provider.closed) == (["a", "b"], 1)


@pytest.mark.parametrize("first", ["cancel", "close"])
def test_a_cancelled_engine_closes_without_the_replies_in_flight(
    start, call, providers, soon, first
):
    provider = providers["m"]
    provider.open.clear()
    engine = start(concurrency=1)
    engine.submit([call("a"), call("b")])
    soon(lambda: provider.at_once == 1)
    closing = threading.Thread(target=engine.close)
    if first == "cancel":
        engine.cancel()
        closing.start()
    else:
        closing.start()
        soon(lambda: engine.results.get(call("b").fingerprint) is not None)
        engine.cancel()
    closing.join(20)
    assert not closing.is_alive()
    provider.open.set()
    assert provider.asked == ["a"]
    assert call("a").fingerprint not in engine.results
    engine.cancel()


def test_it_is_known_what_is_in_flight_and_how_much_was_at_most(start, call, providers, soon):
    providers["m"].open.clear()
    engine, calls = start(concurrency=3), [call(text) for text in "abcde"]
    engine.submit(calls)
    soon(lambda: engine.progress.in_flight == 3)
    in_flight = {request.fingerprint for request in engine.in_flight()}
    providers["m"].open.set()
    engine.wait(calls)

    assert in_flight == {one.fingerprint for one in calls[:3]}
    assert (engine.progress.in_flight, engine.progress.peak_in_flight) == (0, 3)


def test_it_is_known_why_a_request_is_sent_again_until_a_reply_comes(start, call, providers, soon):
    down = [RetryableError("503 loading, as Bearer abc1234567 asked", loading=True)]

    def happens(text, _):
        if down:
            raise down[0]
        return text

    providers["m"].happens = happens
    engine, calls = start(), [call("a")]
    engine.submit(calls)
    soon(lambda: bool(engine.progress.failing))
    failing = engine.progress.failing
    down.clear()
    engine.wait(calls)

    assert failing == "503 loading, as Bearer [hidden] asked"
    assert engine.progress.failing == ""


# Closing


def test_closing_does_not_sit_out_a_long_pause(start, call, providers, soon, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "_backoff", lambda *_: 60.0)
    providers["m"].happens = trouble(RetryableError("busy"))
    engine = start()
    engine.submit([call("a")])
    soon(lambda: providers["m"].asked == ["a"])
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 10
    answer = engine.results.get(call("a").fingerprint)
    assert str(answer) == "no reply in 1 attempts; last: busy"


def test_closing_does_not_wait_for_another_process(start, call, other_process):
    other_process("a")
    engine = start()
    engine.submit([call("a"), call("b")])
    engine.wait([call("b")])
    engine.close()
    answer = engine.results.get(call("a").fingerprint)
    assert str(answer) == "the run ended while another process was sending this request"


def test_closing_twice_is_closing_and_leaves_no_thread(start, call, providers):
    engine = start()
    engine.wait([call("a")])
    engine.close()
    engine.close()
    assert providers["m"].closed == 1
    assert "ftgate" not in {thread.name for thread in threading.enumerate()}


# What only one test may use


def test_a_reply_for_one_test_is_stored_nowhere(start, call, cache, providers):
    calls = [call("a", only_for="test_one"), call("b")]

    for run in ("run-1", "run-2"):
        assert ask(start(run), *calls) == ["a", "b"]

    assert Counter(providers["m"].asked) == {"a": 2, "b": 1}
    assert {*cache.replies([one.fingerprint for one in calls])} == {calls[1].fingerprint}


def test_a_reply_for_one_test_may_be_a_copy_of_a_cached_one(start, call, providers):
    shared = call("a")
    start("run-1").wait([shared])
    own = [call("a", only_for=name, cached_as=shared.fingerprint) for name in ("one", "two")]

    engine = start("run-2")

    assert ask(engine, *own) == ["a", "a"]
    assert providers["m"].asked == ["a"]
    assert engine.progress.reused == 2


def test_what_served_one_test_is_closed_once_another_begins(start, call, providers, soon):
    engine = start()
    for name in ("one", "two"):
        engine.wait([call("a", only_for=name)])
    engine.wait([call("b")])

    soon(lambda: providers["m"].closed == 1)


def test_an_error_of_all_requests_of_one_test_ends_no_other_request(start, call, providers):
    providers["m"].happens = trouble(ProviderRejected("nonsense"), times=1)
    own, shared = call("a", only_for="one"), call("a")

    engine = start()

    assert isinstance(ask(engine, own)[0], ProviderRejected)
    assert ask(engine, shared) == ["a"]


def test_the_functions_that_are_being_called_are_known(start, call, providers):
    engine, model = start(), {"provider": "openai-compatible", "model": "n"}
    for provider in providers.values():
        provider.open.clear()
    calls = [call("a"), call("b", only_for="one")]

    engine.submit([*calls, call("c", **model)])

    assert engine.pending_calls == calls
    providers["m"].open.set()
    engine.wait(calls)
    assert engine.pending_calls == []
