from __future__ import annotations

import pytest

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.providers.logprobs import read_logprobs
from pytest_ftgate.requests.logprobs import GivenReply


def completion(*texts: str) -> dict:
    content = [{"token": text, "logprob": -0.5, "top_logprobs": None} for text in texts]
    return {"choices": [{"logprobs": {"content": content}}]}


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["Sure", ", it", " is"], 1),
        (["ref", "und", "<end>", "more"], 3),
        ([" ", "bill", "s", "!"], 3),
        (["ref"], 1),
    ],
)
def test_tokens_are_kept_until_no_label_can_follow(call, texts, kept):
    request = call("x", labels=("refund", "billing"))

    logprobs = read_logprobs(request, completion(*texts), "server")

    assert [token.text for token in logprobs.tokens] == texts[:kept]


def test_nothing_is_read_where_nothing_was_asked_for(call):
    assert read_logprobs(call("x"), completion("ref"), "server") is None


def test_broken_log_probabilities_are_an_error_of_the_request(call):
    broken = {"choices": [{"logprobs": {"content": [{"token": "x"}]}}]}

    with pytest.raises(RequestRejected, match="server: its log-probabilities cannot be read"):
        read_logprobs(call("x", labels=("a",)), broken, "server")


def row(text: str) -> dict:
    return {"5": {"logprob": -0.5, "decoded_token": text}, "6": {"logprob": -1.0}}


def test_a_given_reply_is_found_at_the_end_of_the_prompt(call):
    rows = [None, row("system"), row(" Pa"), row("ris")]

    logprobs = read_logprobs(
        call("x", given=GivenReply("Paris")), {"prompt_logprobs": rows}, "server"
    )

    assert [token.text for token in logprobs.tokens] == [" Pa", "ris"]
    assert logprobs.tokens[0].top == {"5": -0.5, "6": -1.0}


def test_a_given_reply_that_the_prompt_does_not_end_with_is_an_error_of_the_request(call):
    rows = [None, row("other"), row("words")]

    with pytest.raises(RequestRejected, match="do not spell the given reply"):
        read_logprobs(call("x", given=GivenReply("Paris")), {"prompt_logprobs": rows}, "server")


def test_a_server_that_reads_no_given_reply_is_refused(call):
    with pytest.raises(ProviderRejected, match="serve the model with vLLM"):
        read_logprobs(call("x", given=GivenReply("Paris")), completion("Paris"), "server")
