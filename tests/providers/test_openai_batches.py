"""The batches of chat completions against an API on loopback: sent, read, found again."""

from __future__ import annotations

import pytest
from ftgate_testing import batching
from ftgate_testing.asking import KEY
from ftgate_testing.batching import (
    answers_of,
    batched_calls,
    on_their_way,
    sent_before,
    texts_of,
)
from ftgate_testing.chat_batches_api import chat_batches_api, completed, echo, expired, refused
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate.errors import ProviderRejected

#: Fixtures.
alone, start = batching.alone, batching.start


@pytest.fixture
def api():
    with chat_batches_api() as running:
        yield running


@pytest.fixture
def batched(call, api):
    return batched_calls(call, api.url, provider="openai-compatible", model="gpt-x")


def test_a_plan_is_one_file_and_one_batch_whose_results_come_in_any_order(start, batched, api):
    engine = start()

    assert texts_of(engine, batched("a", "b", "c")) == ["a", "b", "c"]
    (batch,) = api.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    assert api.sizes == [3]
    assert all(KEY in headers["authorization"] for headers in api.headers)
    assert on_their_way(engine) == 0


def test_a_batch_that_runs_is_waited_for(start, batched, api, soon):
    api.may_end.clear()
    engine = start()
    engine.submit(batched("a"))
    soon(lambda: len(api.headers) > 9)  # it is looked at again and again
    api.may_end.set()

    assert texts_of(engine, batched("a")) == ["a"]


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
    sent_before(engine, calls)

    assert texts_of(engine, calls) == (["found"] * 2 if key == "k" else ["a", "b"])
    assert api.sizes == sizes


def test_results_that_are_gone_are_requested_again(start, batched, api):
    engine, calls = start(), batched("a")
    sent_before(engine, calls, id="batch_old")

    assert texts_of(engine, calls) == ["a"]
    assert on_their_way(engine) == 0
