"""One model on several servers: who is asked, what fails, and what is told of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest
from ftgate_testing.asking import ask_all
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.loopback import Handler, loopback
from ftgate_testing.tables import every_row

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


@contextmanager
def failing(status: int, message: str):
    """Serve an API whose answers are all this error; yield its address, and what it was sent."""
    sent: list[bytes] = []

    class Fails(Handler):
        def post(self) -> None:
            sent.append(self.sent())
            self.give_json(status, {"error": {"message": message}})

    with loopback(Fails) as url:
        yield f"{url}/v1", sent


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
    with failing(500, "out of memory") as (broken, _):
        urls = [broken, servers[0].url]
        replies = ask_all(open_openai, [to(urls, f"case {n}") for n in range(6)])

    # After a failure the server rests, so that the others are asked first.
    assert len(servers[0].requests) == 6
    assert {reply.facts[SERVER_FACT] for reply in replies} == {name(servers[0].url)}
    told = replies[-1].facts[f"{FAILED_SERVER_FACT}{name(broken)}"]
    assert told.startswith("500 out of memory")


@every_row("status, error", [(500, RetryableError), (401, ProviderRejected)])
def test_a_server_that_failed_is_asked_if_no_other_answers_and_the_error_is_theirs(
    to, status, error
):
    with failing(status, "no") as (one, _), failing(status, "no") as (other, _):
        found = ask_all(open_openai, [to([one, other])] * 2, keep_errors=True)

    assert [type(each) for each in found] == [error] * 2
    assert str(found[0]).startswith(f"{status} no")
    # Of servers that are left out, each is named.
    assert str(found[1]).count(f"{status} no") == (2 if error is ProviderRejected else 1)


def test_a_server_without_the_model_is_left_out_and_the_others_go_on(servers, to):
    with failing(404, "no model m") as (lacking, sent):
        urls = [lacking, servers[0].url]
        replies = ask_all(open_openai, [to(urls, f"case {n}") for n in range(4)])

    assert len(sent) == 1
    told = replies[-1].facts[f"{FAILED_SERVER_FACT}{name(lacking)}"]
    assert told.startswith("404 no model m")


def test_a_server_that_is_full_is_not_held_for_broken(servers, to):
    with failing(429, "slow down") as (full, _):
        (reply,) = ask_all(open_openai, [to([full, servers[0].url])])

    assert reply.facts == {SERVER_FACT: name(servers[0].url)}


def test_a_request_that_cannot_succeed_is_sent_to_one_server_alone(servers, to):
    with failing(400, "too long") as (refusing, _):
        (found,) = ask_all(open_openai, [to([refusing, servers[0].url])], keep_errors=True)

    assert str(found) == "400 too long"
    assert servers[0].requests == []


def test_a_server_that_ended_is_told_in_the_same_words_for_each_of_its_models(servers, to):
    with failing(500, "busy") as (gone, _):
        urls = [gone, servers[0].url]
    replies = ask_all(open_openai, [to(urls)])

    told = replies[0].facts[f"{FAILED_SERVER_FACT}{name(gone)}"]
    assert told == f"nothing answers at {gone} (connection refused)"
