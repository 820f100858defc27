"""Where a reply that is generated here ends: never in a thought, and as the model alone ends it."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.tables import every_row

from pytest_ftgate.providers.answers import StreamedReply, answer_end, obeyed

MARKED = (("<plan>", "</plan>"),)


@every_row(
    ("ends_at", "text", "marks", "end"),
    [
        ("sentence", "It is Paris. The Seine", None, 12),
        ("sentence", "It is Paris", None, None),
        ("sentence", "<think>It is Paris. The Seine", None, None),
        ("sentence", "<plan>It is Paris. The Seine", MARKED, None),
        ("code", "```\n1\n```\nIt prints", None, 10),
        ("", "It is Paris. The Seine", None, None),
    ],
)
def test_an_answer_ends_by_the_kind_of_its_request_unless_it_is_a_thought(
    call, ends_at, text, marks, end
):
    found = answer_end(call(ends_at=ends_at, thoughts=marks))

    assert (found and found(text)) == end


@every_row(
    ("template", "marks", "is_obeyed"),
    [
        ("{{ messages }}<|im_start|>assistant", None, True),
        ("{{ messages }}<|im_start|>assistant<think>", None, False),
        ("<|start|>assistant<|channel|>analysis", None, False),
        ("{{ messages }}<plan>", MARKED, False),
        ("{{ messages }}<plan>", None, True),
    ],
)
def test_a_model_whose_template_knows_thoughts_ends_its_replies_itself(
    call, template, marks, is_obeyed
):
    asked = call(ends_at="sentence", thoughts=marks)

    assert obeyed(asked, template) == (asked if is_obeyed else replace(asked, ends_at=""))


def chunk(finish=None, **delta):
    timings = {"cache_n": 3, "prompt_n": 4, "predicted_n": 5}
    return {"choices": [{"finish_reason": finish, "delta": delta}], "timings": timings}


def streamed(call, *chunks):
    reply = StreamedReply(answer_end(call(ends_at="sentence")))
    return [reply.add(one) for one in chunks], reply.completion()


def test_no_chunk_is_wanted_after_the_answer_of_which_the_reply_keeps_no_more(call):
    wanted, made = streamed(
        call, chunk(role="assistant", content=None), chunk(content="Paris."), chunk(content=" Yes")
    )

    (choice,) = made["choices"]
    assert wanted == [False, False, True]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Paris.", "stop")
    assert made["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}


def test_a_reply_after_a_thought_is_ended_by_the_model(call):
    thought, said = chunk(reasoning_content="Hm.\n"), chunk(content="Paris. Yes")
    wanted, made = streamed(call, thought, said, chunk("length"))

    (choice,) = made["choices"]
    assert not any(wanted)
    assert choice["message"] == {"content": "Paris. Yes", "reasoning_content": "Hm.\n"}
    assert choice["finish_reason"] == "length"


def test_an_error_of_the_engine_is_all_that_is_left_of_a_reply(call):
    _, made = streamed(call, chunk(content="Par"), {"error": {"message": "broken"}})

    assert made == {"error": {"message": "broken"}}
