"""Batches through the real SDK against an API on loopback: sent, read, found again."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing

import pytest
from ftgate_testing import batching
from ftgate_testing.asking import KEY
from ftgate_testing.batches_api import batches_api, errored, succeeded
from ftgate_testing.batching import (
    answers_of,
    batched_calls,
    on_their_way,
    sent_before,
    texts_of,
)
from ftgate_testing.messages_api import serving
from ftgate_testing.tables import every_row

from pytest_ftgate.client.batches import split_into_batches
from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    ProviderRejected,
    ReplyError,
    RequestRejected,
)
from pytest_ftgate.providers.anthropic_batches import MessageBatches
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage

BATCHES = "/v1/messages/batches"
#: Fixtures.
alone, start = batching.alone, batching.start


@pytest.fixture
def api():
    with batches_api() as running:
        yield running


@pytest.fixture
def batched(call, api):
    return batched_calls(call, api.url, provider="anthropic", model="claude-x")


# What is sent, and what comes back


def test_a_plan_is_one_batch_whose_results_come_in_any_order(start, batched, api):
    calls = batched("a", "b", "c")

    assert texts_of(start(), calls) == ["a", "b", "c"]
    assert api.paths("POST") == [BATCHES]
    # The API takes no longer names.
    names = [one["custom_id"] for one in api.created["msgbatch_1"]]
    assert names == [call.fingerprint[:60] for call in calls]


def test_the_request_in_a_batch_is_that_of_a_plain_call(start, batched, api, call):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    changes = {
        "messages": (("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c")),
        "sampling": {"temperature": 0.5, "stop": ["END"], "effort": "low"},
        "constraint": {"json_schema": schema},
    }
    start().wait(batched("a", **changes))
    with serving() as plain:
        start("run-2").wait(batched("a", **changes, base_url=plain.url, batch=False))
        (sent,) = plain.requests

    assert api.created["msgbatch_1"][0]["params"] == sent


def test_the_key_and_the_version_go_where_a_plain_call_has_them(start, batched, api):
    start().wait(batched("a", api_version="2099-01-01"))

    ((_, _, headers),) = [one for one in api.seen if one[0] == "POST"]
    assert KEY in headers["authorization"]
    assert headers["anthropic-version"] == "2099-01-01"


def test_a_reply_says_that_it_was_asked_in_a_batch_and_with_which_passages(start, batched):
    shown = (Passage(source="a.md", text="A."),)
    (reply,) = answers_of(start(), batched("a", passages=shown))

    assert (reply.processing, reply.model, reply.usage["output"]) == ("batch", "claude-x", 2)
    assert reply.passages == shown
    assert Reply.from_json(reply.to_json()) == reply


def test_models_share_a_batch_and_addresses_do_not(start, batched, api):
    with batches_api() as other:
        calls = [*batched("a"), *batched("b", model="claude-y"), *batched("c", base_url=other.url)]
        assert texts_of(start(), calls) == ["a", "b", "c"]

    models = [[one["params"]["model"] for one in batch] for batch in api.created.values()]
    assert models == [["claude-x", "claude-y"]]


def test_each_plan_is_a_batch_of_its_own_without_what_the_cache_has(start, batched, api):
    engine = start()
    assert texts_of(engine, batched("a", "b")) == ["a", "b"]
    assert texts_of(engine, batched("a", "c")) == ["a", "c"]
    assert texts_of(start("run-2"), batched("a", "d")) == ["a", "d"]

    assert [len(batch) for batch in api.created.values()] == [2, 1, 1]


def test_calls_in_batches_are_told_apart_while_they_are_awaited(start, batched, api, soon):
    api.may_end.clear()
    engine = start()
    engine.submit(batched("a", "b"))
    soon(lambda: engine.progress.batched == 2)
    api.may_end.set()
    engine.wait(batched("a", "b"))

    assert (engine.progress.batched, engine.progress.received) == (0, 2)


@every_row(
    ("sizes", "most", "largest", "split"),
    [
        ([10, 10, 10], 2, 10_000, [2, 1]),
        ([400, 400, 10], 9, 600, [1, 2]),
        ([900, 10], 9, 600, [1, 1]),
        ([], 9, 600, []),
    ],
)
def test_requests_are_split_by_what_a_batch_takes(sizes, most, largest, split):
    requests = [{"custom_id": str(i), "params": "ä" * (size // 6)} for i, size in enumerate(sizes)]

    found = list(split_into_batches(requests, most, largest))

    assert [len(part) for part in found] == split
    assert [one for part in found for one in part] == requests
    assert all(len(part) == 1 or len(json.dumps(part)) <= largest for part in found)


def test_a_plan_too_large_for_a_batch_goes_in_several(start, batched, api, monkeypatch):
    monkeypatch.setattr(MessageBatches, "max_requests", 2)
    calls = batched(*"abcde")

    assert texts_of(start(), calls) == list("abcde")
    assert sorted(len(batch) for batch in api.created.values()) == [1, 2, 2]


# Results that are no replies


#: Results by the text of a request.
UNANSWERED = {"expired": {"type": "expired"}, "canceled": {"type": "canceled"}}
UNANSWERED |= {
    f"{kind}_error": errored(f"{kind}_error") for kind in ("overloaded", "api", "rate_limit", "new")
}


def test_what_may_succeed_another_time_is_asked_again_in_the_next_batch(start, batched, api):
    def becomes(name, params):
        said = params["messages"][-1]["content"]
        again = succeeded(said)
        return UNANSWERED.get(said, again) if len(api.created) == 1 else again

    api.becomes = becomes

    assert texts_of(start(), batched("a", *UNANSWERED)) == ["a", *UNANSWERED]
    assert [len(batch) for batch in api.created.values()] == [7, 6]


def test_a_call_is_in_three_batches_at_most(start, batched, api):
    api.becomes = lambda name, params: {"type": "expired"}

    (answer,) = answers_of(start(), batched("a"))

    assert type(answer) is ReplyError
    assert str(answer) == "no reply in 3 batches; last: expired"
    assert len(api.created) == 3


def test_a_wrong_request_is_refused_alone(start, batched, api):
    wrong = errored("invalid_request_error", "prompt is too long")
    api.becomes = lambda name, params: (
        wrong if params["messages"][-1]["content"] == "b" else succeeded("fine")
    )

    fine, refused = answers_of(start(), batched("a", "b"))

    assert fine.text == "fine"
    assert type(refused) is RequestRejected
    assert "prompt is too long" in str(refused)
    assert len(api.created) == 1


def test_what_each_further_request_will_meet_denies(start, batched, api):
    kinds = ("authentication_error", "not_found_error", "billing_error")
    api.becomes = lambda name, params: errored(params["messages"][-1]["content"])

    answers = answers_of(start(), batched(*kinds))

    assert [type(answer) for answer in answers] == [ProviderRejected] * 3


def test_a_setting_that_a_model_will_not_take_is_left_out_of_the_next_batch(start, batched, api):
    refused = errored("invalid_request_error", "temperature is not supported by this model")
    api.becomes = lambda name, params: refused if "temperature" in params else succeeded("ok")

    (reply,) = answers_of(start(), batched("a", sampling={"temperature": 0.0}))

    assert (reply.text, reply.unsent) == ("ok", ("temperature",))
    assert len(api.created) == 2


def test_a_result_that_is_missing_is_asked_again(start, batched, api):
    whole = api.results

    def results(name):
        lines = whole(name).splitlines(keepends=True)
        return b"".join(lines[1:] if name == "msgbatch_1" else lines)

    api.results = results

    assert texts_of(start(), batched("a", "b")) == ["a", "b"]
    assert [len(batch) for batch in api.created.values()] == [2, 1]


def test_results_that_break_off_are_read_again_and_none_is_kept_twice(start, batched, api):
    whole, reads = api.results, []

    def results(name):
        reads.append(name)
        return whole(name)[:-30] if len(reads) == 1 else whole(name)

    api.results = results

    assert texts_of(start(), batched("a", "b")) == ["a", "b"]
    assert (len(reads), len(api.created)) == (2, 1)


# A batch that cannot be sent


def test_an_address_without_batches_says_so(start, batched):
    with serving() as plain:
        plain.error(404, "not_found_error")
        (answer,) = answers_of(start(), batched("a", base_url=plain.url))

    assert type(answer) is ProviderRejected
    assert str(answer).startswith("this address takes no batches: 404")
    assert str(answer).endswith("; remove batch: true or --ftgate-batch")


def test_a_batch_that_is_refused_as_a_whole_refuses_its_calls_and_is_forgotten(start, batched, api):
    api.fails = [400]
    engine = start()

    answers = answers_of(engine, batched("a", "b"))

    assert [type(answer) for answer in answers] == [RequestRejected, RequestRejected]
    assert on_their_way(engine) == 0


def test_an_overloaded_server_is_asked_again(start, batched, api):
    api.fails = [429, 500, 529]

    assert texts_of(start(), batched("a")) == ["a"]
    assert len(api.created) == 1


def test_a_missing_key_is_told_to_every_call(start, batched):
    answers = answers_of(start(environ={}), batched("a", "b"))

    assert [type(answer) for answer in answers] == [ConfigurationError] * 2
    assert "set TEAM_KEY" in str(answers[0])


def drop(engine, table: str) -> None:
    with closing(sqlite3.connect(engine._cache.path)) as database:
        database.execute(f"DROP TABLE IF EXISTS {table}")


def test_a_cache_that_breaks_is_told_to_the_calls(start, batched, api):
    engine = start()
    api.becomes = lambda *_: drop(engine, "replies") or succeeded()
    answers = answers_of(engine, batched("a", "b"))

    assert [type(answer) for answer in answers] == [CacheError] * 2
    assert on_their_way(engine) == 1


def test_a_cache_that_takes_no_claims_fails_the_requests_at_once(start, batched, api):
    engine = start()
    drop(engine, "claims")

    answers = answers_of(engine, batched("a", "b"))

    assert [type(answer) for answer in answers] == [CacheError] * 2
    assert not api.created


# A batch that outlives its run


def create(api, calls, model="claude-x") -> None:
    """Create the batch of an earlier run at the server."""
    api.create(
        [
            {
                "custom_id": call.fingerprint[:60],
                "params": {"model": model, "messages": [{"content": f"old {call.messages[0][1]}"}]},
            }
            for call in calls
        ]
    )


def test_the_batch_of_an_earlier_run_is_picked_up_and_only_what_it_did_not_send_is_sent(
    start, batched, api
):
    engine = start()
    create(api, batched("a", "b"))
    sent_before(engine, batched("a", "b"), id="msgbatch_1")

    assert texts_of(engine, batched("a", "b", "c")) == ["old a", "old b", "c"]
    assert [len(batch) for batch in api.created.values()] == [2, 1]
    assert on_their_way(engine) == 0


@pytest.mark.parametrize(
    ("days", "mode", "text"),
    [(0, "fresh", "old a"), (2, "fresh", "a"), (28, "auto", "old a"), (30, "auto", "a")],
)
def test_an_older_batch_is_picked_up_as_long_as_its_results_count(
    start, batched, api, days, mode, text
):
    engine = start(replies=mode)
    create(api, batched("a"))
    sent_before(engine, batched("a"), id="msgbatch_1", at=time.time() - days * 86_400)

    assert texts_of(engine, batched("a")) == [text]


@pytest.mark.parametrize("is_running", [True, False])
def test_a_batch_whose_name_nobody_lived_to_note_is_found_while_it_runs_and_by_its_results(
    start, batched, api, soon, is_running
):
    engine, calls = start(), batched("a", "b")
    create(api, calls)
    sent_before(engine, calls)
    if is_running:
        api.may_end.clear()
        engine.submit(calls)
        soon(lambda: f"{BATCHES}/msgbatch_1" in api.paths("GET"))
        api.may_end.set()

    assert texts_of(engine, calls) == ["old a", "old b"]
    assert len(api.created) == 1


def test_a_strangers_batch_of_as_many_requests_is_not_taken_for_ours(start, batched, api):
    engine, calls = start(), batched("a", "b")
    create(api, batched("c", "d"))
    sent_before(engine, calls)

    assert texts_of(engine, calls) == ["a", "b"]
    assert [len(batch) for batch in api.created.values()] == [2, 2]


def test_a_batch_that_was_created_though_the_connection_broke_is_not_sent_again(
    start, batched, api
):
    def breaks():
        if len(api.created) == 1:
            raise ConnectionResetError

    api.before_answer = breaks

    assert texts_of(start(), batched("a", "b")) == ["a", "b"]
    assert len(api.created) == 1


def test_results_that_are_gone_are_asked_for_anew(start, batched, api):
    engine = start()
    calls = batched("a")
    sent_before(engine, calls, id="msgbatch_of_old")

    assert texts_of(engine, calls) == ["a"]
    assert on_their_way(engine) == 0


def test_calls_of_a_batch_that_nobody_asks_for_now_are_still_on_their_way(start, batched, api):
    create(api, batched("a", "b"))
    sent_before(start(), batched("a", "b"), id="msgbatch_1")
    for run, text, batches_left in (("run-2", "a", 1), ("run-3", "b", 0)):
        engine = start(run)
        engine.wait(batched(text))
        assert on_their_way(engine) == batches_left

    assert len(api.created) == 1


# The end of a run, and other processes


def test_closing_leaves_the_batch_running_and_says_so(start, batched, api, soon):
    api.may_end.clear()
    engine = start()
    calls = batched("a", "b")
    engine.submit(calls)
    soon(lambda: f"{BATCHES}/msgbatch_1" in api.paths("GET"))
    engine.close()

    answer = engine.results.get(calls[0].fingerprint)
    assert str(answer).startswith("the run ended before the batch did")
    assert engine.pending_batches == ("batch msgbatch_1 with 2 requests goes on",)
    api.may_end.set()
    assert len(answers_of(start("run-2"), calls)) == 2
    assert len(api.created) == 1


def test_two_runs_at_once_send_each_call_once(start, batched, api, soon):
    api.may_end.clear()
    one, two = start("run-1"), start("run-2")
    two._cache._claims.owner = one._cache._claims.owner.replace(str(os.getpid()), str(os.getppid()))
    one.submit(batched("a", "b"))
    soon(lambda: len(api.created) == 1)
    two.submit(batched("a", "b", "c"))
    soon(lambda: len(api.created) == 2)
    api.may_end.set()

    assert texts_of(two, batched("a", "b", "c")) == ["a", "b", "c"]
    assert [len(batch) for batch in api.created.values()] == [2, 1]
    assert (two.progress.reused, two.progress.received) == (2, 1)
