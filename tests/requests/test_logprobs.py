from __future__ import annotations

import json
from math import inf

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.requests.logprobs import Divergence, Logprobs, TokenLogprobs, rounded
from pytest_ftgate.requests.reply import Reply

TOKENS = (TokenLogprobs("ref", -0.25, {"ref": -0.25, "bill": -1.5}), TokenLogprobs("und", 0.0))


@every_row(
    "logprobs",
    [
        Logprobs(tokens=TOKENS),
        Logprobs(labels={"refund": -1.25, "billing": -7.5}),
        Logprobs(divergence=Divergence(3, 0.5, -2.0, -1.5, 0.25)),
    ],
)
def test_the_cache_gives_log_probabilities_back(logprobs):
    reply = Reply(text="refund", logprobs=logprobs)

    assert Reply.from_json(reply.to_json()) == reply


def test_a_reply_without_log_probabilities_takes_no_room_for_them():
    assert "logprobs" not in json.loads(Reply(text="refund").to_json())


def test_log_probabilities_are_short_and_finite():
    assert rounded(-1.23456789) == -1.23457
    assert rounded(-inf) == -10000.0


@every_row("broken", [[], {"tokens": [1]}, {"divergence": [1, 2]}, {"labels": 3}])
def test_broken_log_probabilities_are_no_reply(broken):
    with pytest.raises(ValueError, match="no reply"):
        Reply.from_dict({"text": "x", "logprobs": broken})
