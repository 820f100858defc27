"""One model on several servers: who is asked, what fails, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import ExitStack

import pytest
from ftgate_testing.asking import ENVIRON, ask_all
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.loopback import Handler, loopback

from pytest_ftgate.errors import ProviderRejected, RetryableError
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.reply import FAILED_SERVER_FACT, SERVER_FACT


@pytest.fixture
def servers():
    with ExitStack() as stack:
        yield [stack.enter_context(chat_server(lambda _: Said("yes"))) for _ in range(3)]


@pytest.fixture
def to(call):
    """Make a request to several addresses."""

    def make(urls, text="hello"):
        first, *more = urls
        where = {"base_url": first, "more_urls": tuple(more), "api_key_env": ""}
        return call(text, provider="openai-compatible", model="m", **where)

    return make


def failing(status: int, message: str):
    """Serve an API whose answers are all this error."""

    class Fails(Handler):
        def post(self) -> None:
            self.sent()
            self.give_json(status, {"error": {"message": message}})

    return loopback(Fails)


def name(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/v1")


def test_requests_at_once_are_shared_equally_among_the_servers(servers, to):
    calls = [to([one.url for one in servers], f"case {n}") for n in range(30)]

    replies = ask_all(open_openai, calls, at_once=True)

    assert [len(one.requests) for one in servers] == [10, 10, 10]
    served = Counter(reply.facts[SERVER_FACT] for reply in replies)
    assert served == {name(one.url): 10 for one in servers}


def test_a_pool_has_room_for_what_all_of_its_servers_take(servers, to):
    one, three = (open_openai([to([s.url for s in some])], {}) for some in (servers[:1], servers))

    assert (three.concurrency, three.max_concurrency) == (
        3 * one.concurrency,
        3 * one.max_concurrency,
    )
    asyncio.run(three.close())


def test_what_a_server_does_not_answer_another_one_answers_and_the_reply_tells_it(servers, to):
    with failing(500, "out of memory") as broken:
        urls = [f"{broken}/v1", servers[0].url]
        replies = ask_all(open_openai, [to(urls, f"case {n}") for n in range(6)])

    # After a failure the server rests, so that the others are asked first.
    assert len(servers[0].requests) == 6
    assert {reply.facts[SERVER_FACT] for reply in replies} == {name(servers[0].url)}
    told = replies[-1].facts[f"{FAILED_SERVER_FACT}{name(broken)}"]
    assert told.startswith("500 out of memory")


def test_a_server_that_rests_is_asked_if_no_other_answers(servers, to):
    with failing(500, "loading weights") as broken, failing(500, "other") as other:
        found = ask_all(
            open_openai,
            [to([f"{broken}/v1", f"{other}/v1"]), to([f"{broken}/v1", f"{other}/v1"])],
            keep_errors=True,
        )

    assert [type(error) for error in found] == [RetryableError] * 2


def test_a_server_without_the_model_is_left_out_and_the_others_go_on(servers, to):
    asked = []

    class Lacks(Handler):
        def post(self) -> None:
            asked.append(self.sent())
            self.give_json(404, {"error": {"message": "no model m"}})

    with loopback(Lacks) as lacking:
        urls = [f"{lacking}/v1", servers[0].url]
        replies = ask_all(open_openai, [to(urls, f"case {n}") for n in range(4)])

    assert len(asked) == 1
    told = replies[-1].facts[f"{FAILED_SERVER_FACT}{name(lacking)}"]
    assert told.startswith("404 no model m")


def test_where_every_server_refuses_the_error_is_theirs(to):
    with failing(401, "bad key") as one, failing(401, "bad key") as other:
        call = to([f"{one}/v1", f"{other}/v1"])
        found = ask_all(open_openai, [call, call], keep_errors=True)

    assert [type(error) for error in found] == [ProviderRejected] * 2
    assert str(found[0]).startswith("401 bad key")
    assert str(found[1]).count("401 bad key") == 2


def test_a_server_that_is_full_is_not_held_for_broken(servers, to):
    class Full(Handler):
        def post(self) -> None:
            self.sent()
            self.give(429, json.dumps({"error": {"message": "slow down"}}).encode())

    with loopback(Full) as full:
        (reply,) = ask_all(open_openai, [to([f"{full}/v1", servers[0].url])], ENVIRON)

    assert reply.facts == {SERVER_FACT: name(servers[0].url)}


def test_a_request_that_cannot_succeed_is_sent_to_one_server_alone(servers, to):
    class Refuses(Handler):
        def post(self) -> None:
            self.sent()
            self.give_json(400, {"error": {"message": "too long"}})

    with loopback(Refuses) as refusing:
        (found,) = ask_all(open_openai, [to([f"{refusing}/v1", servers[0].url])], keep_errors=True)

    assert str(found) == "400 too long"
    assert servers[0].requests == []


def test_a_server_that_ended_is_told_in_the_same_words_for_each_of_its_models(servers, to):
    with failing(500, "busy") as gone:
        urls = [f"{gone}/v1", servers[0].url]
    replies = ask_all(open_openai, [to(urls)])

    told = replies[0].facts[f"{FAILED_SERVER_FACT}{name(gone)}"]
    assert told == f"nothing answers at {gone}/v1 (connection refused)"
