"""The thought and the answer in the text of a reply."""

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply, read_reply, split_thoughts

#: gpt-oss, with the special tokens of the harmony format.
HARMONY = (
    "<|channel|>analysis<|message|>Is it late?<|end|>"
    "<|start|>assistant<|channel|>final<|message|>delivery<|return|>"
)


@every_row(
    ("text", "thought", "answer"),
    [
        ("<think>\nlate?\n</think>\n\ndelivery", "late?", "delivery"),
        ("<thinking>late?</thinking>delivery", "late?", "delivery"),
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
def test_a_thought_is_split_from_the_answer(text: str, thought: str, answer: str) -> None:
    assert split_thoughts(text) == (thought, answer, True)


@every_row(
    "text",
    [
        "delivery",
        "  delivery\n",
        "",
        '{"label": "delivery"}',
        "Write <think> before a thought.",
        "<b>delivery</b>",
        "The tags <reasoning> and </reasoning> hold the reasoning.",
        "The tags <think> and </think> hold a thought.",
        "[THINKING] delivery",
        "analysis of the parcel: delivery",
        "I final<|channel|>ly know",
    ],
)
def test_a_text_without_a_thought_stays_as_it_is(text: str) -> None:
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
def test_a_thought_that_never_ends_leaves_no_answer(text: str) -> None:
    split = split_thoughts(text)
    assert (split.answer, split.is_closed) == ("", False)
    assert split.thought.endswith("The user may mean delivery")


def test_a_suite_may_declare_its_own_marks() -> None:
    marks = (("<a>", "</a>"),)
    assert split_thoughts("<a>late?</a>delivery", marks) == ("late?", "delivery", True)
    assert split_thoughts("late?</a>delivery", marks) == ("late?", "delivery", True)
    text = "<think>late?</think>delivery"
    assert split_thoughts(text, marks).answer == text


def test_without_marks_the_whole_text_is_the_answer() -> None:
    text = "<think>late?</think>delivery"
    assert split_thoughts(text, ()) == ("", text, True)


def test_a_reply_may_begin_with_thousands_of_thoughts() -> None:
    assert split_thoughts("<think>a</think>" * 5_000 + "b").answer == "b"


def test_a_reply_keeps_its_thought_apart_from_its_text() -> None:
    sent = Reply(text="<think>late?</think>delivery", thought="from the server")
    read = read_reply(sent)
    assert (read.text, read.thought, read.stop) == ("delivery", "from the server\n\nlate?", "end")
    assert read.thinks
    assert read_reply(read) == read


def test_a_reply_without_a_thought_is_not_copied() -> None:
    sent = Reply(text="delivery")
    assert read_reply(sent) is sent


def test_a_thought_after_white_space_is_apart_from_the_answer():
    read = read_reply(Reply(text="\n <thinking>refund?</thinking> billing"))

    assert (read.thought, read.text) == ("refund?", "billing")


def test_a_thought_that_never_ends_is_a_reply_that_was_cut_off() -> None:
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
def test_only_a_reply_cut_off_before_its_answer_has_none(reply: Reply, expected: bool) -> None:
    assert reply.has_no_answer is expected


def test_thought_tokens_alone_show_that_a_model_thinks() -> None:
    assert Reply(text="4", usage={"output": 9, "thought": 5}).thinks
    assert not Reply(text="4", usage={"output": 9}).thinks


def test_replies_stored_with_another_name_of_the_thought_tokens_are_read() -> None:
    stored = '{"text": "4", "usage": {"output": 9, "thinking": 5}}'
    assert Reply.from_json(stored).usage == {"output": 9, "thought": 5}


def test_a_stored_reply_keeps_its_thought() -> None:
    reply = Reply(text="4", thought="2 + 2")
    assert Reply.from_json(reply.to_json()) == reply
