"""Replies: on their way to disk and back, long texts in a file, thoughts apart from answers."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply, TextFile, file_text, read_reply, split_thoughts
from pytest_ftgate.requests.request import Passage, Step, ToolCall

FULL = Reply(
    text="Grüße\n\u2028\U0001f600 \x00",
    stop="length",
    model="m-1",
    usage={"input": 3, "output": 1},
    seconds=0.25,
    request_id="req_1",
)


REPLIES = [FULL, Reply(text=""), Reply(text="", score=0.0), Reply(text="4", thought="2 + 2")]


@every_row("reply", REPLIES)
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


# Long texts ---------------------------------------------------------------------------------------

LONG = "Grüße\r\n\u2028\U0001f600 \x00" * 200
FILED = replace(FULL, text=LONG, thought="so", score=0.5)


@pytest.fixture
def file():
    return TextFile()


def test_a_reply_is_filed_once_and_the_same_in_every_field(file):
    filed = file_text(FILED, file)

    assert filed is not FILED
    assert file_text(filed, file) is filed
    assert filed.to_json() == FILED.to_json()
    assert Reply.from_json(filed.to_json()) == FILED
    assert repr(filed).endswith(repr(FILED).removeprefix("Reply"))


def test_a_filed_reply_can_be_changed_and_sent_to_another_process(file):
    filed = file_text(FILED, file)

    assert replace(filed, stop="end").text == LONG
    assert replace(filed, text="short").text == "short"
    assert pickle.loads(pickle.dumps(filed)).to_json() == FILED.to_json()


def test_a_short_text_stays_in_memory(file):
    reply = Reply(text="billing")

    assert file_text(reply, file) is reply


def test_a_long_text_stays_in_memory_where_no_file_can_be_made(file, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    assert file_text(FILED, file) is FILED


def test_many_long_texts_take_little_memory(file):
    tracemalloc.start()
    kept = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(1_000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size < 500_000
    assert [reply.text for reply in kept] == [f"{number} " * 1_000 for number in range(1_000)]


def test_threads_read_their_own_texts(file):
    filed = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(50)]

    def read(number):
        return filed[number % 50].text == f"{number % 50} " * 1_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(500)))


def test_texts_are_read_where_the_system_cannot_read_at_a_position(file, monkeypatch):
    monkeypatch.delattr(os, "pread", raising=False)
    filed = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(3)]

    assert [reply.text[0] for reply in filed] == ["0", "1", "2"]


def test_half_a_record_is_no_text(file, monkeypatch):
    class HalfWritten:
        def seek(self, _): ...

        def write(self, record):
            return len(record) // 2

    monkeypatch.setattr(file, "_opened", HalfWritten())

    assert file_text(FILED, file) is FILED


def test_a_reply_has_no_other_fields(file):
    with pytest.raises(AttributeError, match="mood"):
        _ = file_text(FILED, file).mood


def test_texts_are_read_whole_in_any_order_and_while_others_are_added(file):
    sizes = (0, 1, 16_376, 16_380, 16_384, 40_000, 7, 9_000, 9_000, 3)
    texts = [f"{index}" * size for index, size in enumerate(sizes)]
    starts = []
    for text in texts:
        starts.append(file.add(text))
        assert file.read(starts[-1]) == text
        assert file.read(starts[0]) == texts[0]

    for order in (range(10), range(9, -1, -1), (4, 6, 5, 9, 2)):
        assert [file.read(starts[index]) for index in order] == [texts[index] for index in order]


# Thoughts -----------------------------------------------------------------------------------------

#: gpt-oss, with the special tokens of the harmony format.
HARMONY = (
    "<|channel|>analysis<|message|>Is it late?<|end|>"
    "<|start|>assistant<|channel|>final<|message|>delivery<|return|>"
)


@every_row(
    ("text", "thought", "answer"),
    [
        ("<think>\nlate?\n</think>\n\ndelivery", "late?", "delivery"),
        ("\n <thinking>late?</thinking> delivery", "late?", "delivery"),
        ("<thought>late?</thought>delivery", "late?", "delivery"),
        ("<reasoning>late?</reasoning> delivery", "late?", "delivery"),
        ("<seed:think>late?</seed:think>delivery", "late?", "delivery"),
        ("[THINK]late?[/THINK]delivery", "late?", "delivery"),
        ("◁think▷late?◁/think▷delivery", "late?", "delivery"),
        # A template opened it.
        ("late?\n</think>\n\ndelivery", "late?", "delivery"),
        ("late?[/THINK]delivery", "late?", "delivery"),
        # Harmony, with special tokens and without.
        (HARMONY, "Is it late?", "delivery"),
        ("analysisIs it late?assistantfinaldelivery", "Is it late?", "delivery"),
        ("<think>\n\n</think>\n\ndelivery", "", "delivery"),
        ("<think>a</think>\n<think>b</think>\ndelivery", "a\n\nb", "delivery"),
        # The first closing mark ends it.
        ("<think>close with </think>delivery", "close with", "delivery"),
    ],
)
def test_a_thought_is_split_from_the_answer(text, thought, answer):
    assert split_thoughts(text) == (thought, answer, True)


@every_row(
    "text",
    [
        "delivery",
        "  delivery\n",
        "",
        "Write <think> before a thought.",
        "The tags <reasoning> and </reasoning> hold the reasoning.",
        "The tags <think> and </think> hold a thought.",
        "[THINKING] delivery",
        "analysis of the parcel: delivery",
        "I final<|channel|>ly know",
    ],
)
def test_a_text_without_a_thought_stays_as_it_is(text):
    assert split_thoughts(text) == ("", text, True)


@every_row(
    "text",
    [
        "<think>\nThe user may mean delivery",
        "[THINK]The user may mean delivery",
        "<|channel|>analysis<|message|>The user may mean delivery",
        "<think>delivery?</think><think>The user may mean delivery",
    ],
)
def test_a_thought_that_never_ends_leaves_no_answer(text):
    split = split_thoughts(text)
    assert (split.answer, split.is_closed) == ("", False)
    assert split.thought.endswith("The user may mean delivery")


OWN, OTHER = "<a>late?</a>delivery", "<think>late?</think>delivery"
MARKS = (("<a>", "</a>"),)


@every_row(
    ("text", "marks", "thought", "answer"),
    [
        (OWN, MARKS, "late?", "delivery"),
        (OWN.removeprefix("<a>"), MARKS, "late?", "delivery"),
        (OTHER, MARKS, "", OTHER),
        (OTHER, (), "", OTHER),
    ],
)
def test_a_suite_may_declare_its_own_marks_or_none(text, marks, thought, answer):
    assert split_thoughts(text, marks) == (thought, answer, True)


def test_a_reply_may_begin_with_thousands_of_thoughts():
    assert split_thoughts("<think>a</think>" * 5_000 + "b").answer == "b"


def test_a_reply_keeps_its_thought_apart_from_its_text():
    sent = Reply(text="<think>late?</think>delivery", thought="from the server")
    read = read_reply(sent)
    assert (read.text, read.thought, read.stop) == ("delivery", "from the server\n\nlate?", "end")
    assert read.thinks
    assert read_reply(read) is read


def test_a_thought_that_never_ends_is_a_reply_that_was_cut_off():
    read = read_reply(Reply(text="<think>late?", stop="end"))
    assert (read.stop, read.has_no_answer) == ("length", True)


@every_row(
    ("reply", "expected"),
    [
        (Reply(text="", stop="length", thought="late?"), True),
        (Reply(text=" \n", stop="length"), True),
        (Reply(text="deliv", stop="length", thought="late?"), False),
        (Reply(text="", stop="end", thought="late?"), False),
    ],
)
def test_only_a_reply_cut_off_before_its_answer_has_none(reply, expected):
    assert reply.has_no_answer is expected


def test_thought_tokens_alone_show_that_a_model_thinks():
    assert Reply(text="4", usage={"output": 9, "thought": 5}).thinks
    assert not Reply(text="4", usage={"output": 9}).thinks


def test_replies_stored_with_another_name_of_the_thought_tokens_are_read():
    stored = '{"text": "4", "usage": {"output": 9, "thinking": 5}}'
    assert Reply.from_json(stored).usage == {"output": 9, "thought": 5}
