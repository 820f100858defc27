"""A reply on its way to disk and back."""

from __future__ import annotations

import json

import pytest

from pytest_ftgate.requests.reply import Reply

FULL = Reply(
    text="Grüße\n\u2028\U0001f600 \x00",
    stop="length",
    model="m-1",
    usage={"input": 3, "output": 1},
    seconds=0.25,
    request_id="req_1",
)


@pytest.mark.parametrize("reply", [FULL, Reply(text="")], ids=["full", "empty"])
def test_a_reply_comes_back_as_it_was(reply):
    assert Reply.from_json(reply.to_json()) == reply


def test_a_reply_is_one_line_whatever_its_text():
    assert len(FULL.to_json().splitlines()) == 1


def test_a_reply_cut_inside_an_emoji_can_be_written_as_utf8():
    cut = Reply(text="so far \ud83d")
    assert Reply.from_json(cut.to_json().encode("utf-8").decode("utf-8")) == cut


def test_keys_of_a_later_version_are_left_out():
    later = json.dumps({**json.loads(FULL.to_json()), "mood": "good"})
    assert Reply.from_json(later) == FULL


def test_keys_that_an_earlier_version_did_not_write_have_their_defaults():
    assert Reply.from_json('{"text": "hi"}') == Reply(text="hi")
