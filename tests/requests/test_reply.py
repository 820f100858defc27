"""A reply on its way to disk and back."""

from __future__ import annotations

import json

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall

FULL = Reply(
    text="Grüße\n\u2028\U0001f600 \x00",
    stop="length",
    model="m-1",
    usage={"input": 3, "output": 1},
    seconds=0.25,
    request_id="req_1",
)


@every_row("reply", [FULL, Reply(text=""), Reply(text="", score=0.0)])
def test_a_reply_comes_back_as_it_was(reply):
    assert Reply.from_json(reply.to_json()) == reply


def test_a_reply_is_one_line_whatever_its_text():
    assert len(FULL.to_json().splitlines()) == 1


HALF = "cut \ud83d"
WHOLE = "cut \ufffd"


def test_a_reply_cut_inside_an_emoji_ends_with_a_replacement_character():
    call = ToolCall(name=HALF, arguments={HALF: [HALF]}, id=HALF, result=HALF)
    step = Step(HALF, (call,), ({"text": HALF},))
    passage = Passage(source=HALF, text=HALF)
    texts = {"text": HALF, "stop": HALF, "model": HALF, "request_id": HALF, "facts": {HALF: HALF}}

    reply = Reply(**texts, steps=(step,), passages=(passage,))

    assert HALF not in repr(reply).encode("unicode_escape").decode().replace("\\\\", "\\")
    assert (reply.text, reply.facts) == (WHOLE, {WHOLE: WHOLE})
    assert reply.steps[0].calls[0].arguments == {WHOLE: [WHOLE]}
    assert Reply.from_json(reply.to_json().encode("utf-8").decode("utf-8")) == reply


def test_half_a_character_in_a_stored_reply_is_replaced_when_it_is_read():
    assert Reply.from_json('{"text": "cut \\ud83d"}') == Reply(text=WHOLE)


def test_keys_of_a_later_version_are_left_out():
    later = json.dumps({**json.loads(FULL.to_json()), "mood": "good"})
    assert Reply.from_json(later) == FULL


def test_keys_that_an_earlier_version_did_not_write_have_their_defaults():
    assert Reply.from_json('{"text": "hi"}') == Reply(text="hi")
