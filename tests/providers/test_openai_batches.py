"""The batches of chat completions against an API on loopback: sent, read, found again."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest
from ftgate_testing.batching import answers_of, on_their_way, texts_of
from ftgate_testing.chat_batches_api import chat_batches_api, completed, echo, expired, refused
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate.cache.sqlite import Batch
from pytest_ftgate.client import batches
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ProviderRejected, ReplyError, RequestRejected
from pytest_ftgate.providers.openai_batches import ChatBatches

ENVIRON = {"TEAM_KEY": "sk-very-secret-0123456789"}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No long waits."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(batches, "_FIRST_POLL", 0.01)
    monkeypatch.setattr(batches, "_MAX_POLL", 0.02)


@pytest.fixture
def api():
    with chat_batches_api() as running:
        yield running


@pytest.fixture
def batched(call, api):
    """Make calls to the loopback API that go in batches."""

    def made(*texts: str, **changes):
        where = {"base_url": api.url, "api_key_env": "TEAM_KEY", "batch": True}
        asked = {"provider": "openai-compatible", "model": "gpt-x", **where, **changes}
        return [call(text, **asked) for text in texts]

    return made


@pytest.fixture
def start(open_cache, request):
    def started(run: str = "run-1") -> Engine:
        engine = Engine(open_cache(run), ENVIRON)
        request.addfinalizer(engine.close)
        return engine

    return started


def test_a_plan_is_one_file_and_one_batch_whose_results_come_in_any_order(start, batched, api):
    engine = start()

    assert texts_of(engine, batched("a", "b", "c")) == ["a", "b", "c"]
    (batch,) = api.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    assert api.sizes == [3]
    assert all(ENVIRON["TEAM_KEY"] in headers["authorization"] for headers in api.headers)
    assert on_their_way(engine) == 0


def test_the_request_in_a_batch_is_that_of_a_plain_call(start, batched, api):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    changes = {
        "messages": (("system", "be brief"), ("user", "a")),
        "sampling": {"temperature": 0.5, "seed": 3, "effort": "low"},
        "constraint": {"json_schema": schema},
        "extra": {"top_k": 1},
    }
    start().wait(batched("a", **changes))
    with chat_server(lambda _: Said("a")) as plain:
        start("run-2").wait(batched("a", **changes, base_url=plain.url, batch=False))
        (sent,) = plain.requests

    (item,) = api.files["file-1"]
    assert item["body"] == sent
    assert (item["method"], item["url"]) == ("POST", "/v1/chat/completions")


def test_a_reply_says_that_it_was_sent_in_a_batch(start, batched):
    (reply,) = answers_of(start(), batched("a"))

    assert (reply.processing, reply.model, reply.request_id) == ("batch", "gpt-x", "r1")
    assert (reply.usage["input"], reply.usage["output"], reply.seconds) == (9, 2, 0)


def test_each_model_has_a_batch_of_its_own(start, batched, api):
    calls = [*batched("a"), *batched("b", model="gpt-y"), *batched("c")]

    assert texts_of(start(), calls) == ["a", "b", "c"]
    models = [{item["body"]["model"] for item in lines} for lines in api.files.values()]
    assert models == [{"gpt-x"}, {"gpt-y"}]


def test_a_plan_too_large_for_a_batch_goes_in_several(start, batched, api, monkeypatch):
    monkeypatch.setattr(ChatBatches, "max_requests", 2)

    assert texts_of(start(), batched(*"abcde")) == list("abcde")
    assert sorted(api.sizes) == [1, 2, 2]


@pytest.mark.parametrize(
    "result", [expired(), refused("overloaded", 503), None], ids=["expired", "overload", "none"]
)
def test_a_request_without_a_reply_is_sent_in_the_next_batch(start, batched, api, result):
    def becomes(body):
        is_late = body["messages"][-1]["content"] == "b" and len(api.batches) == 1
        return result if is_late else echo(body)

    api.becomes = becomes

    assert texts_of(start(), batched("a", "b", "c")) == ["a", "b", "c"]
    assert api.sizes == [3, 1]


def test_a_request_is_in_three_batches_at_most(start, batched, api):
    api.becomes = lambda _: expired()

    (answer,) = answers_of(start(), batched("a"))

    assert type(answer) is ReplyError
    told = "no reply in 3 batches; last: batch_expired: The window of this request has expired."
    assert str(answer) == told


def test_a_wrong_request_fails_alone(start, batched, api):
    wrong = refused("This model's maximum context length is 8 tokens")
    api.becomes = lambda body: wrong if body["messages"][-1]["content"] == "b" else echo(body)

    fine, failed = answers_of(start(), batched("a", "b"))

    assert fine.text == "a"
    assert type(failed) is RequestRejected
    assert "maximum context length" in str(failed)
    assert api.sizes == [2]


@pytest.mark.parametrize("setting", ["temperature", "max_tokens"])
def test_a_setting_that_a_model_rejects_is_left_out_of_the_next_batch(start, batched, api, setting):
    remedy = {"temperature": "", "max_tokens": " Use 'max_completion_tokens' instead."}[setting]
    rejected = refused(f"Unsupported parameter: '{setting}' is not supported.{remedy}")
    api.becomes = lambda body: rejected if setting in body else completed("ok")

    replies = answers_of(start(), batched("a", "b", sampling={"temperature": 0.0}))

    assert [reply.text for reply in replies] == ["ok", "ok"]
    unsent = ("temperature",) if setting == "temperature" else ()
    assert {reply.unsent for reply in replies} == {unsent}
    assert api.sizes == [2, 2]


def test_a_label_is_taken_out_of_the_object_around_it(start, batched, api):
    api.becomes = lambda _: completed('{"label": "refund"}')

    assert texts_of(start(), batched("a", constraint={"choice": ("refund", "other")})) == ["refund"]


def test_a_batch_that_fails_the_validation_says_why_and_is_forgotten(start, batched, api):
    api.refuses = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    engine = start()

    answers = answers_of(engine, batched("a", "b"))

    assert {str(answer) for answer in answers} == {
        "batch batch_1 was refused: Enqueued token limit reached."
    }
    assert on_their_way(engine) == 0


def test_a_server_without_batches_is_named_with_what_to_remove(start, batched, api):
    api.takes_files = False

    (answer,) = answers_of(start(), batched("a"))

    assert type(answer) is ProviderRejected
    told = "this address takes no batches: it answers 404 to POST /files"
    assert str(answer) == f"{told}; remove batch: true or --ftgate-batch"


def test_a_batch_that_a_run_leaves_behind_is_picked_up_by_the_next(start, batched, api, soon):
    api.may_end.clear()
    engine = start()
    engine.submit(batched("a", "b"))
    soon(lambda: any(batch.id for batch in stored(engine)))
    engine.close()
    assert engine.pending_batches == ("batch batch_1 with 2 requests goes on",)

    api.may_end.set()

    assert texts_of(start("run-2"), batched("a", "b")) == ["a", "b"]
    assert api.sizes == [2]


def stored(engine) -> list[Batch]:
    with closing(sqlite3.connect(engine._cache.path)) as database:
        addresses = database.execute("SELECT address FROM batches").fetchall()
    return [batch for (address,) in addresses for batch in engine._cache.batches.sent_to(address)]


@pytest.mark.parametrize(("key", "sizes"), [("k", [2]), ("another", [2, 2])])
def test_a_batch_whose_id_was_lost_is_known_by_our_key_in_its_metadata(
    start, batched, api, key, sizes
):
    engine, calls = start(), batched("a", "b")
    lines = [
        {"custom_id": call.fingerprint[:60], "body": {"model": "gpt-x", "messages": []}}
        for call in calls
    ]
    api.files["file-0"] = lines
    api.create({"input_file_id": "file-0", "metadata": {"ftgate": key}})
    api.becomes = lambda body: echo(body) if body["messages"] else completed("found")
    names = tuple(call.fingerprint for call in calls)
    address = batches._address(calls[0])
    engine._cache.batches.save(Batch(key="k", address=address, at=time.time(), fingerprints=names))

    assert texts_of(engine, calls) == (["found"] * 2 if key == "k" else ["a", "b"])
    assert api.sizes == sizes


def test_a_batch_that_was_created_though_the_connection_broke_is_not_sent_again(
    start, batched, api
):
    first = []

    def breaks():
        if not first:
            first.append(True)
            raise ConnectionResetError

    api.before_answer = breaks

    assert texts_of(start(), batched("a", "b")) == ["a", "b"]
    assert api.sizes == [2]


def test_results_that_are_gone_are_requested_again(start, batched, api):
    engine, calls = start(), batched("a")
    names, address = (calls[0].fingerprint,), batches._address(calls[0])
    engine._cache.batches.save(
        Batch(key="k", id="batch_old", address=address, at=time.time(), fingerprints=names)
    )

    assert texts_of(engine, calls) == ["a"]
    assert on_their_way(engine) == 0
