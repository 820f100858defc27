"""How slots are used: by retries, by models that share a limit, while a server is unreachable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest
from ftgate_testing.scripted import Scripted, outcome, trouble

from pytest_ftgate.client import engine, rate_limit
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.scheduler import Scheduler, SchedulerCallbacks
from pytest_ftgate.errors import (
    ConfigurationError,
    FtgateError,
    OutOfBudget,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.requests.reply import Reply

BUSY = RetryableError("busy")


def of(text: str, error: Exception, times: int = 1_000_000):
    """Raise *error* on the first asks of one text, and answer all others."""
    happens = trouble(error, times)
    return lambda said, ask: happens(said, ask) if said == text else said


# Retries


@pytest.fixture
def busy(start, call, providers, soon):
    """An engine with one slot, in which *b* is, while *a* waits for it to be sent again."""
    provider = providers["m"]

    def happens(text: str, ask: int) -> str:
        if (text, ask) == ("a", 1):
            provider.open.clear()
            raise BUSY
        return text

    provider.happens = happens
    engine = start(concurrency=1)
    engine.submit([call(text) for text in "abcd"])
    soon(lambda: provider.asked == ["a", "b"])
    time.sleep(0.05)
    return engine


def test_a_call_that_is_tried_again_goes_before_those_that_were_never_sent(busy, call, providers):
    providers["m"].open.set()
    busy.wait([call(text) for text in "abcd"])

    assert providers["m"].asked == list("abacd")


def test_a_call_that_waits_to_be_tried_again_ends_with_the_run(busy, call, providers, soon):
    closing = threading.Thread(target=busy.close)
    closing.start()
    soon(lambda: busy.results.get(call("a").fingerprint) is not None)
    providers["m"].open.set()
    closing.join(20)

    answer = busy.results.get(call("a").fingerprint)
    assert str(answer) == "the run ended before this request was sent again"


def test_a_call_is_not_tried_again_after_ten_minutes(call):
    now = iter([0.0, 100.0, 300.0, 595.0])

    async def answered() -> None:
        policy = RetryPolicy(asyncio.Event(), clock=lambda: next(now))
        policy._backoff = lambda attempt, *_: 0.0 if attempt < 2 else 8.0
        await policy.generate_with_retries(Scripted(trouble(BUSY)).generate, call("a"))

    with pytest.raises(ReplyError, match="no reply in 3 attempts; last: busy"):
        asyncio.run(answered())


def test_a_request_that_a_replying_server_refuses_is_retried_longer_than_one_that_fails(
    start, call, providers, monkeypatch
):
    monkeypatch.setattr(rate_limit, "_PROBE_EVERY", 0.001)
    providers["m"].happens = of("a", RetryableError("429", limited=True))
    engine = start()
    engine.wait([call("b")])

    [refused] = outcome(engine.wait([call("a")]), [call("a")])
    assert str(refused) == "no reply in 60 attempts; last: 429"


# Limits


def test_a_provider_that_can_answer_more_is_sent_more(start, call, providers, soon):
    provider = providers["m"]
    provider.concurrency, provider.max_concurrency = 2, 8
    calls = [call(str(number)) for number in range(60)]
    start().wait(calls)

    assert provider.most_at_once == 8


@pytest.mark.parametrize(("model", "waits"), [("claude-opus-4-1", True), ("claude-haiku-5", False)])
def test_a_wait_that_a_server_asks_for_holds_for_all_models_that_share_the_limit(
    start, call, providers, soon, model, waits
):
    limit = RetryableError("429", retry_after=0.6, limited=True)
    providers |= {"claude-opus-4-5": Scripted(of("a", limit, times=1)), model: Scripted()}
    engine = start()
    first, other = call("a", model="claude-opus-4-5"), call("b", model=model)
    engine.wait([call("warm", model="claude-opus-4-5"), call("warm", model=model)])
    engine.submit([first])
    opus = providers["claude-opus-4-5"]
    soon(lambda: "a" in opus.asked and opus.at_once == 0)
    began = time.monotonic()
    engine.wait([other])

    assert (time.monotonic() - began > 0.4) is waits


def test_a_server_that_has_no_requests_left_is_not_asked_before_it_has_more(start, call, providers):
    left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "600ms"}
    providers["m"].rate_limit_headers = left
    engine = start(concurrency=1)
    began = time.monotonic()
    engine.wait([call("a"), call("b")])

    assert time.monotonic() - began > 0.5


# A server that is away


def test_while_nothing_gets_through_no_more_calls_are_sent_and_in_the_end_all_are_given_up(
    start, call, providers
):
    providers["m"].happens = trouble(BUSY)
    calls = [call(str(number)) for number in range(200)]
    answers = outcome(start().wait(calls), calls)

    assert {str(answer) for answer in answers} == {"no reply in 6 attempts; last: busy"}
    # Some were on their way when the eighth failed.
    assert len(set(providers["m"].asked)) < 8 + providers["m"].concurrency


def test_a_server_that_comes_back_in_time_loses_no_call(start, call, providers):
    back = threading.Event()

    def happens(text: str, ask: int) -> str:
        if ask == 4:
            back.set()
        if not back.is_set():
            raise BUSY
        return text

    providers["m"].happens = happens
    calls = [call(str(number)) for number in range(200)]

    assert outcome(start().wait(calls), calls) == [str(number) for number in range(200)]


def test_calls_that_no_server_could_answer_do_not_keep_others_from_it(start, call, providers):
    providers["m"].happens = lambda text, ask: trouble(BUSY)(text, ask) if text < "5" else text
    calls = [call(str(number)) for number in range(10)]
    answers = outcome(start(concurrency=1).wait(calls), calls)

    assert [type(answer) for answer in answers[:5]] == [ReplyError] * 5
    assert answers[5:] == list("56789")


def test_after_a_server_was_away_calls_that_come_later_are_tried(start, call, providers):
    providers["m"].happens = trouble(BUSY)
    engine = start()
    engine.wait([call(str(number)) for number in range(20)])
    providers["m"].happens = None

    assert outcome(engine.wait([call("late")]), [call("late")]) == ["late"]


# Budgets


class Allowance:
    """A budget of so many requests."""

    def __init__(self, requests: int) -> None:
        self.left, self.counted = requests, []

    def stop_reason(self) -> str | None:
        return None if self.left > len(self.counted) else f"{len(self.counted)} are spent"

    def record_cost(self, call, reply: Reply) -> None:
        self.counted.append((call.messages[0][1], reply.text))


def test_every_request_that_was_answered_is_counted_once_and_no_other(start, call, providers):
    providers["m"].happens = of("a", BUSY, times=2)
    providers["n"].happens = trouble(RequestRejected("no"))
    allowance = Allowance(10)
    engine = start(budget=allowance)
    engine.wait([call("a"), call("b"), call("c", model="n")])
    engine.wait([call("a")])

    assert Counter(allowance.counted) == {("a", "a"): 1, ("b", "b"): 1}


def test_without_a_budget_left_nothing_more_is_sent_at_any_model(start, call, providers):
    engine = start(budget=Allowance(2), concurrency=1)
    calls = [call(text) for text in "abcd"]
    answers = outcome(engine.wait(calls), calls)
    late = [call("e"), call("f", model="n")]
    answers += outcome(engine.wait(late), late)
    engine.close()

    assert answers[:2] == ["a", "b"]
    assert [(type(one), str(one)) for one in answers[2:]] == [(OutOfBudget, "2 are spent")] * 4
    assert (providers["m"].asked, providers["n"].asked) == (["a", "b"], [])
    # The next run goes on where this one stopped, and what the cache has needs no budget.
    assert outcome(start("run-2", budget=Allowance(0)).wait(calls[:2]), calls[:2]) == ["a", "b"]
    assert outcome(start("run-3").wait(calls), calls) == list("abcd")


def test_a_call_that_is_tried_again_is_checked_again(start, call, providers):
    allowance = Allowance(1)
    providers["m"].happens = of("a", BUSY, times=1)
    engine = start(budget=allowance, concurrency=1)
    calls = [call("a"), call("b")]
    refused, answered = outcome(engine.wait(calls), calls)

    assert (type(refused), answered) == (OutOfBudget, "b")
    assert providers["m"].asked == ["a", "b"]


def test_a_provider_is_opened_for_no_request_that_was_given_up_in_the_meantime(call):
    opened, failed, settled = [], [], []

    async def open_provider(requests):
        opened.append(requests[0].model)
        return Scripted()

    async def never(*_):
        raise AssertionError("nothing is sent")

    async def run() -> None:
        callbacks = SchedulerCallbacks(
            open_provider, never, lambda *result: settled.append(result), failed.append
        )
        scheduler = Scheduler(callbacks, 1, None)
        scheduler.add(call("a"))
        scheduler.send_waiting()
        scheduler.give_up(FtgateError("the budget is spent"))
        await scheduler.close()

    asyncio.run(run())

    assert (opened, failed) == ([], [])
    assert [str(error) for _, error in settled] == ["the budget is spent"]


# Models that cannot be opened


def test_an_error_of_opening_ends_no_request_to_the_model_with_other_options(
    start, call, monkeypatch
):
    def opened(requests, *_):
        if requests[0].options:
            raise ConfigurationError("quantization: nf4 needs bitsandbytes")
        return Loaded()

    class Loaded(Scripted):
        def serves(self, request):
            return not request.options

    monkeypatch.setattr(engine, "open_provider", opened)
    quantised = [call(text, options={"quantization": "nf4"}) for text in "ab"]
    plain = [call(text) for text in "cd"]

    results = start().wait([*quantised, *plain])

    assert [str(results[one.fingerprint]) for one in quantised] == [
        "quantization: nf4 needs bitsandbytes"
    ] * 2
    assert [results[one.fingerprint].text for one in plain] == ["c", "d"]
