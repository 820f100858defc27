"""What the hosted APIs have in common: keys, errors, limits of what is read, lessons learned."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from ftgate_testing.asking import HOSTED, KEY, ask_all
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers import http
from pytest_ftgate.providers.api import LearningProvider
from pytest_ftgate.providers.http import token_count

LIMIT = 100_000
PAGE = b"<html>the proxy says hello</html>"
#: The kind of error for each status.
PASSING = [(status, RetryableError) for status in (408, 409, 429, 500, 503, 529)]
PERMANENT = [(status, ProviderRejected) for status in (401, 402, 403, 404)]
WRONG = [(status, RequestRejected) for status in (400, 413, 422)]


@pytest.fixture
def answers(api, hosted):
    """Queue a whole reply of the API."""
    return api.completion if hosted == "openai-compatible" else api.message


@pytest.fixture
def error(asked, api):
    """Return the error that comes of what the server answers next."""

    def caught(kind, **changes):
        api.requests.clear()
        with pytest.raises(kind) as found:
            asked(**changes)
        assert (type(found.value), len(api.requests)) == (kind, 1)
        return found.value

    return caught


def test_the_key_goes_where_the_request_says(asked, api):
    asked()

    assert api.headers[0]["authorization"] == f"Bearer {KEY}"


@every_row("environ", [{}, {"TEAM_KEY": ""}])
def test_a_key_that_is_not_set_is_named(made, hosted, environ):
    with pytest.raises(ConfigurationError, match="the key of m is missing: set TEAM_KEY"):
        HOSTED[hosted][0]([made(base_url=None)], environ)


# What is sent and read ---------------------------------------------------------------------------


def test_the_payload_holds_what_the_request_declares_and_nothing_else(asked, api, hosted):
    turns = (("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    asked(messages=turns, max_tokens=7)

    sent = {"messages": [{"role": role, "content": text} for role, text in turns]}
    if hosted == "anthropic":
        sent["system"] = sent["messages"].pop(0)["content"]
    assert api.requests == [{"model": "m", "max_tokens": 7, **sent}]


#: By the API: settings of a request, and what is sent of them.
SETTINGS = {
    "anthropic": [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"stop": ["END"]}, {"stop_sequences": ["END"]}),
        ({"effort": "low"}, {"output_config": {"effort": "low"}}),
    ],
    "openai-compatible": [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"stop": ["END"]}, {"stop": ["END"]}),
        ({"effort": "low"}, {"reasoning_effort": "low"}),
    ],
}


def test_each_setting_goes_where_the_api_reads_it(asked, api, hosted):
    for sampling, sent in SETTINGS[hosted]:
        asked(sampling=sampling)
        assert sent.items() <= api.requests[-1].items()


#: By the API: its reasons for an end, and what they mean.
STOPS = {
    "anthropic": {
        "end_turn": "end",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "stop_sequence": "stop",
        "tool_use": "tool",
        "a_later_invention": "end",
    },
    "openai-compatible": {
        "stop": "end",
        "length": "length",
        "content_filter": "refusal",
        "a_new_word": "end",
    },
}


def test_the_reason_for_stopping_is_reported(asked, answers, hosted):
    for said, means in STOPS[hosted].items():
        answers("x", said)
        assert (said, asked().stop) == (said, means)


# Errors ------------------------------------------------------------------------------------------


@every_row(("status", "kind"), [*PASSING, *PERMANENT, *WRONG])
def test_a_status_ends_the_request_or_the_variant_or_is_worth_another_request(
    error, api, status, kind
):
    api.error(status, "trouble")
    found = error(kind)

    assert str(found).startswith(f"{status} no: trouble")
    assert getattr(found, "limited", False) is (status in (429, 503, 529))


#: The seconds of each header retry-after.
WAITS = [("7", 7.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)]
WAITS += [(header, None) for header in ("soon", "nan", "inf", "-3")]


@every_row(("header", "seconds"), WAITS)
def test_the_wait_that_the_server_asks_for_is_handed_on(error, api, header, seconds):
    api.error(429, "rate_limit_error", retry_after=header)

    assert error(RetryableError).retry_after == seconds


@every_row(
    ("status", "code", "said"),
    [
        (429, "enforced_spend_limit_reached", ""),
        (429, "insufficient_quota", ""),
        (429, "", "Rate limit reached for m on requests per day (RPD)"),
        (400, "", "You have reached your specified API usage limits"),
    ],
)
def test_a_limit_that_no_waiting_lifts_rejects_the_provider(error, api, status, code, said):
    # The one API has a place for the code, the other another one.
    told = {"message": said or "no", "code": code, "details": {"error_code": code}}
    api.raw(json.dumps({"error": told}).encode(), status, **{"retry-after": "1"})

    assert said in str(error(ProviderRejected))


def test_what_is_forbidden_is_this_request_alone_where_others_were_answered(
    made, together, api, answers
):
    answers()
    api.error(403, "this input was flagged")
    with pytest.raises(RequestRejected) as caught:
        together([made("a"), made("b")])
    assert type(caught.value) is RequestRejected


def test_a_lost_connection_is_worth_another_request(error, api):
    api.reset()

    assert "no connection" in str(error(RetryableError))


def test_a_body_shorter_than_announced_is_worth_another_request(error, api):
    api.raw(b'{"id": "msg_1", "con', **{"content-length": "900", "connection": "close"})

    assert "no connection" in str(error(RetryableError))


@every_row(
    "body",
    [
        *(b'{"id": "m", "choi', b"", b"{}", b"[]", b"null", b'{"choices": []}'),
        *(b"[" * 50_000, b'{"a": ' * 15_000, b"1" * 5_000),
    ],
)
def test_a_body_that_is_no_reply_is_worth_another_request(error, api, body):
    api.raw(body)

    assert "the body is" in str(error(RetryableError))


def test_a_web_page_in_place_of_a_reply_is_a_wrong_address(error, made, api):
    api.raw(PAGE, **{"content-type": "text/html"})
    address = made().base_url

    told = f"{address}/? answered with a web page, not with a reply of m; correct base_url"
    page = error(RetryableError)
    assert re.fullmatch(told, str(page.rejection))
    assert type(page.rejection) is ProviderRejected


def test_a_web_page_of_a_server_that_has_answered_before_is_worth_another_request(
    made, together, api, answers
):
    answers()
    api.raw(PAGE, **{"content-type": "text/html"})
    with pytest.raises(RetryableError, match="answered with a web page") as raised:
        together([made("a"), made("b")])
    assert raised.value.rejection is None


ELSEWHERE = "http://user:pw@elsewhere.example/v1?key=1"
TARGET = "to http://elsewhere.example/v1, where"
REDIRECTS = [(status, ELSEWHERE, TARGET) for status in (301, 302, 307, 308)]
REDIRECTS += [(302, "", ", but says not where; check base_url")]


@every_row(("status", "location", "told"), REDIRECTS)
def test_no_prompt_goes_where_a_server_redirects_to(error, made, api, status, location, told):
    api.raw(b"", status, **({"location": location} if location else {}))

    said = str(error(ProviderRejected)).removeprefix(f"{made().base_url} redirects").lstrip()
    assert said.startswith(told)


@every_row("status", [200, 400, 500])
@every_row("packed", [False, True])
def test_a_body_that_is_too_large_is_an_error_once_it_is(error, api, monkeypatch, packed, status):
    monkeypatch.setattr(http, "MAX_BODY", LIMIT)
    body = b" " * (3 * LIMIT)
    headers = {"content-encoding": "gzip"} if packed else {}
    api.raw(gzip.compress(body) if packed else body, status, **headers)

    assert "the body of the reply is larger than" in str(error(RequestRejected))


def test_a_packed_body_within_the_limit_is_read(asked, api, answers):
    answers("hello")
    queued = api.queued[0]
    queued.body = gzip.compress(queued.body)
    queued.headers["content-encoding"] = "gzip"

    assert asked().text == "hello"


@every_row("value", [-1, 10**30, "12", 1.5e300, None, [], {}])
def test_a_count_that_tokens_cannot_have_is_none(value):
    assert token_count(value) == 0
    assert token_count(12) == 12


# What is learned ---------------------------------------------------------------------------------


def test_what_is_left_of_a_rate_limit_is_handed_on(made, api, hosted, answers):
    opened = []

    def opens(*given):
        opened.append(HOSTED[hosted][0](*given))
        return opened[0]

    left = {"x-ratelimit-remaining-requests": "3"}
    answers()
    api.queued[0].headers.update(left)
    ask_all(opens, [made()])

    assert left.items() <= dict(opened[0].rate_limit_headers).items()


def test_a_setting_that_is_refused_is_left_out_from_then_on_and_recorded(made, together, api):
    api.error(400, "temperature: Extra inputs are not permitted")
    replies = together([made(text, sampling={"temperature": 0.5, "top_p": 0.9}) for text in "ab"])

    assert ["temperature" in request for request in api.requests] == [True, False, False]
    assert [request["top_p"] for request in api.requests] == [0.9] * 3
    assert [reply.unsent for reply in replies] == [("temperature",)] * 2


def test_a_setting_whose_value_is_wrong_is_the_authors_to_mend(error, api):
    api.error(400, "temperature: must be less than or equal to 1")

    assert "less than or equal to 1" in str(error(RequestRejected, sampling={"temperature": 5.0}))


SENT = ("temperature", "top_p", "seed")


class Learning(LearningProvider):
    schema_setting = "response_format"
    api_names: dict[str, str] = {}  # noqa: RUF012 - it has none

    def payload(self, request):
        return self.supported(request.sampling)

    async def _post(self, payload, request):
        raise NotImplementedError

    async def _fetch_facts(self, model):
        return {}


@pytest.fixture
def sent(call):
    return call(sampling=dict.fromkeys(SENT, 1))


@every_row(
    ("said", "left_out"),
    [
        ("400 temperature: Extra inputs are not permitted", {"temperature"}),
        ("`temperature` and `top_p` are not supported with this model", {"temperature", "top_p"}),
        ("Unsupported parameter: 'seed'", {"seed"}),
    ],
)
def test_a_setting_that_a_refusal_names_is_left_out(sent, said, left_out):
    learned = Learning()

    assert learned.learn_rejection(said, sent, ())
    assert set(learned.payload(sent)) == set(SENT) - left_out


@every_row(
    "said",
    [
        "the prompt is too long",
        "temperature must be at most 1",
        "seed: Input should be less than 100",
        "temperatures are high today",
        "`temperature` may only be set to 1 when thinking is enabled",
        "`temperature` and `top_p` cannot both be specified for this model",
        "set temperature, top_p or neither",
        "Invalid schema for seed",
    ],
)
def test_a_refusal_of_something_else_teaches_nothing(sent, said):
    learned = Learning()

    assert not learned.learn_rejection(said, sent, ())
    assert all(map(learned.supports, SENT))
