"""What a server does wrong is said in the user's words, with the address and what to write."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.reply import Reply


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def asked(call, api):
    """Ask the server *texts* one after the other; return the error of the last."""

    def ask(*texts: str, url: str = f"{api.url}/v1", key: str | None = "TEAM_KEY") -> ReplyError:
        where = {"provider": "openai-compatible", "model": "qwen", "base_url": url}
        calls = [call(text, **where, api_key_env=key) for text in texts or ("a",)]

        async def together() -> None:
            provider = open_openai(calls, {"TEAM_KEY": "sk-1234567890"})
            try:
                for request in calls:
                    await provider.generate(request)
            finally:
                await provider.close()

        with pytest.raises(ReplyError) as caught:
            asyncio.run(together())
        return caught.value

    return ask


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


def test_a_local_port_that_refuses_connections_is_not_tried_again(asked, free_port):
    error = asked(url=f"http://127.0.0.1:{free_port}/v1")

    assert isinstance(error, ProviderRejected)
    assert str(error) == (
        f"nothing answers at http://127.0.0.1:{free_port}/v1 (connection refused): start the "
        "server of qwen, or correct the address in base_url or in the variable of base_url_env"
    )


@every_row(
    ("status", "key", "hint"),
    [
        (401, "TEAM_KEY", "the key is that of TEAM_KEY"),
        (403, "TEAM_KEY", "the key is that of TEAM_KEY"),
        (401, "", "no key was sent: name the variable that holds it in api_key_env"),
    ],
)
def test_a_key_that_is_refused_is_named_by_its_variable(asked, api, status, key, hint):
    api.error(status, "bad key")
    error = asked(key=key)

    assert str(error) == f"{status} no: bad key ({api.url}/v1, model qwen); {hint}"
    assert "sk-1234567890" not in str(error)


@every_row("status", [404, 500])
def test_an_unknown_model_is_shown_with_those_that_the_server_lists(asked, api, status):
    api.pages["/v1/models"] = {"data": [{"id": f"m{n}"} for n in range(10)]}
    api.raw(b"Internal Server Error", status)
    error = asked()

    listed = ", ".join(f"m{n}" for n in range(8))
    assert str(error) == (
        f"{status} Internal Server Error ({api.url}/v1, model qwen); the server lists {listed}, …: "
        "correct model"
    )


def test_where_nothing_was_found_is_said_also_where_the_server_lists_the_model(asked, api):
    api.pages["/v1/models"] = {"data": [{"id": "qwen"}]}
    api.error(404, "not loaded")

    assert str(asked()) == f"404 no: not loaded ({api.url}/v1, model qwen)"


def attempts(call, api, *texts: str) -> list[str]:
    """Ask *texts* one after the other, each of which fails; return the kinds of the errors."""
    where = {"provider": "openai-compatible", "model": "qwen", "base_url": f"{api.url}/v1"}
    calls = [call(text, **where) for text in texts]

    async def together() -> list[Exception | None]:
        provider = open_openai(calls, {})
        results = []
        for request in calls:
            results += await asyncio.gather(provider.generate(request), return_exceptions=True)
        await provider.close()
        return results

    kinds = (Reply, RetryableError, ProviderRejected)
    return [
        next(k.__name__ for k in kinds if isinstance(one, k)) for one in asyncio.run(together())
    ]


@pytest.mark.parametrize("texts", ["aaa", "aba"])
def test_a_server_that_only_fails_without_a_word_is_given_up_after_three_attempts(call, api, texts):
    for _ in range(3):
        api.raw(b"Internal Server Error", 500)

    found = attempts(call, api, *texts)

    assert found == ["RetryableError", "RetryableError", "ProviderRejected"]


def test_requests_that_were_sent_once_each_are_sent_again(call, api):
    for _ in range(3):
        api.raw(b"Internal Server Error", 500)

    assert attempts(call, api, "a", "b", "c") == ["RetryableError"] * 3


def test_a_server_that_has_answered_or_says_what_failed_is_asked_again(call, api):
    api.completion()
    for _ in range(3):
        api.raw(b"Internal Server Error", 500)
    assert attempts(call, api, "a", "a", "a", "a") == ["Reply", *["RetryableError"] * 3]

    for _ in range(3):
        api.error(500, "out of memory")
    assert attempts(call, api, "a", "a", "a") == ["RetryableError"] * 3


def test_an_address_without_v1_is_named_where_nothing_is_found(asked, api):
    api.raw(b"<html>not found</html>", 404)

    assert str(asked(url=api.url)) == (
        f"404 with a web page ({api.url}, model qwen); {api.url} does not end in /v1, as most do"
    )


def test_a_server_that_loads_its_model_is_waited_for(asked, api):
    api.raw(json.dumps({"error": {"code": 503, "message": "Loading model"}}).encode(), 503)
    error = asked()

    assert isinstance(error, RetryableError)
    assert error.loading
    assert "503 Loading model" in str(error)


def test_a_web_page_in_place_of_a_reply_is_a_wrong_address(asked, api):
    api.raw(b"<!doctype html><html>hi</html>")
    error = asked(url=api.url)

    assert isinstance(error, ProviderRejected)
    assert str(error) == (
        f"{api.url} answered with a web page, not with a reply of qwen; correct base_url; "
        f"{api.url} does not end in /v1, as most do"
    )


def test_a_web_page_of_a_server_that_has_answered_before_is_worth_another_request(asked, api):
    api.completion()
    api.raw(b"<html>hi</html>")

    assert isinstance(asked("a", "b"), RetryableError)


def test_a_reply_without_a_text_says_which_server_and_model_sent_it(asked, api):
    choice = {"message": {"role": "assistant", "content": None}, "finish_reason": None}
    api.raw(json.dumps({"choices": [choice]}).encode(), 200)

    message = str(asked())
    assert message.startswith("the body has neither content nor finish_reason: ")
    assert message.endswith(f" ({api.url}/v1, model qwen)")


@every_row("status", [301, 302, 307, 308])
def test_no_prompt_goes_where_a_server_redirects_to(asked, api, status):
    api.requests.clear()
    api.raw(b"", status, location=f"{api.url.replace('127.0.0.1', 'localhost')}/else?key=1")
    error = asked()

    assert isinstance(error, ProviderRejected)
    assert f"{api.url}/v1 redirects to http://localhost" in str(error)
    assert "/else, where no prompt is sent" in str(error)
    assert len(api.requests) == 1


@every_row("wait", ["nan", "inf", "-3"])
def test_a_wait_that_is_no_time_is_no_wait(asked, api, wait):
    api.error(429, "slow down", retry_after=wait)

    assert asked().retry_after is None


def test_the_messages_api_follows_no_redirect_either(call, api):
    where = {"provider": "anthropic", "model": "m", "base_url": api.url, "api_key_env": "KEY"}
    api.raw(b"", 307, location="http://localhost:1/v1/messages")

    async def ask() -> None:
        from pytest_ftgate.providers.anthropic import open_anthropic

        provider = open_anthropic([call("a", **where)], {"KEY": "sk-ant-1234567890"})
        try:
            await provider.generate(call("a", **where))
        finally:
            await provider.close()

    with pytest.raises(ProviderRejected, match="redirects to http://localhost:1/v1/messages"):
        asyncio.run(ask())
