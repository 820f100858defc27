"""Training files: every usual format is read, and an error has its line."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.properties import examples
from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.readers.source import Source
from pytest_ftgate.suite.training_data import count_repeated_replies, read_training_rows

ASKED, ANSWER = "Where is my parcel?", "delivery"
SYSTEM = "Sort the ticket."


def told(role, content, **more):
    return {"role": role, "content": content, **more}


def parts(text, **more):
    return [{**more, "text": text}]


def shared(**said):
    return [{"from": role, "value": text} for role, text in said.items()]


def gemini(role, text):
    return {"role": role, "parts": parts(text)}


USER, ASSISTANT = told("user", ASKED), told("assistant", ANSWER)
REJECTED = told("assistant", "refund")
CHAT = [told("system", SYSTEM), USER, ASSISTANT]
IN_PARTS = [told("user", parts(ASKED)), told("assistant", parts(ANSWER))]
ALPACA = {"instruction": SYSTEM, "input": ASKED, "output": ANSWER}
NOVA = {"schemaVersion": "bedrock-conversation-2024", "system": parts(SYSTEM)}
CONTENTS = {"contents": [gemini("user", ASKED), gemini("model", ANSWER)]}

#: Formats that carry the system prompt, and those that do not.
WITH_SYSTEM = {
    "OpenAI chat": {"messages": CHAT},
    "OpenAI chat with a developer": {"messages": [told("developer", SYSTEM), *CHAT[1:]]},
    "Bedrock Claude": {"system": SYSTEM, "messages": [USER, ASSISTANT]},
    "Bedrock Nova": {**NOVA, "messages": IN_PARTS},
    "prompt and completion as messages": {"prompt": CHAT[:2], "completion": [ASSISTANT]},
    "preference without a prompt": {"chosen": CHAT, "rejected": CHAT},
    "ShareGPT": {"conversations": shared(system=SYSTEM, human=ASKED, gpt=ANSWER)},
    "Alpaca": ALPACA,
    "Gemini": {"systemInstruction": gemini("system", SYSTEM), **CONTENTS},
    "a case of messages": {"messages": CHAT[:2], "expected": ANSWER},
}
WITHOUT_SYSTEM = {
    "OpenAI parts": {
        "messages": [told("user", parts(ASKED, type="text")), {**ASSISTANT, "weight": 1}],
        "tools": [],
    },
    "OpenAI preference": {
        "input": {"messages": [USER], "tools": []},
        "preferred_output": [ASSISTANT],
        "non_preferred_output": [REJECTED],
    },
    "prompt and completion": {"prompt": ASKED, "completion": f" {ANSWER}"},
    "preference": {"prompt": ASKED, "chosen": ANSWER, "rejected": "refund"},
    "preference as messages": {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [REJECTED]},
    "preference with the whole conversation": {
        "prompt": ASKED,
        "chosen": [USER, ASSISTANT],
        "rejected": [USER, USER],
    },
    "a liked completion": {"prompt": ASKED, "completion": ANSWER, "label": True},
    "ShareGPT with the usual roles": {"conversations": shared(user=ASKED, assistant=ANSWER)},
    "Alpaca without an input": {"instruction": ASKED, "input": "", "output": ANSWER},
    "Vertex text": {"input_text": ASKED, "output_text": ANSWER},
    "text and label": {"text": ASKED, "label": ANSWER, "id": "train-0"},
    "a case": {"input": ASKED, "expected": ANSWER},
    "input and output": {"input": ASKED, "output": ANSWER},
    "a case of several answers": {"input": ASKED, "expected": [ANSWER, "parcel"]},
    "columns of several formats": {
        "messages": None,
        "text": None,
        "prompt": ASKED,
        "completion": ANSWER,
    },
}
FORMATS = {**WITH_SYSTEM, **WITHOUT_SYSTEM}


@pytest.fixture
def read(tmp_path):
    """Write a file, read it, and return its rows and what was said about the others."""

    def reading(text, name="t.jsonl"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        source = Source(root=tmp_path, path=path)
        found = read_training_rows(source, path)
        return found, [str(error) for error in source.errors]

    return reading


@every_row("name", FORMATS)
def test_a_row_of_every_format_gives_the_same_example(read, name):
    ((found,), errors) = read(json.dumps(FORMATS[name]))

    assert (found.turns, found.answer, found.usable) == ((("user", ASKED),), ANSWER, True)
    assert (found.system, errors) == (SYSTEM if name in WITH_SYSTEM else "", [])


@every_row(
    ("name", "text", "line"),
    [
        ("t.csv", f"input,expected\n{ASKED},{ANSWER}\n", 2),
        ("t.csv", f"instruction,input,output\n{SYSTEM},{ASKED},{ANSWER}\n", 2),
        ("t.yaml", f"- input: {ASKED}\n  expected: {ANSWER}\n", 1),
    ],
)
def test_a_table_has_the_columns_of_a_format_and_a_list_its_keys(read, name, text, line):
    ((found,), errors) = read(text, name)

    assert (found.line, found.input_text, found.answer, errors) == (line, ASKED, ANSWER, [])


@every_row("indent", [None, 2])
def test_a_json_list_of_rows_is_read_with_the_line_of_each(read, indent):
    rows = [{"instruction": ASKED, "output": ANSWER}, {"text": ASKED, "label": ANSWER}]

    found, errors = read(json.dumps(rows, indent=indent), "t.json")

    assert [one.line for one in found] == ([1, 1] if indent is None else [2, 6])
    assert [one.answer for one in found] == [ANSWER, ANSWER]
    assert errors == []


def test_a_file_may_mix_formats_line_by_line(read):
    found, errors = read("\n".join(map(json.dumps, FORMATS.values())))

    assert [one.line for one in found] == [*range(1, len(FORMATS) + 1)]
    assert errors == []


def test_a_conversation_keeps_its_turns_and_its_last_message_is_the_answer(read):
    row = {"messages": [USER, ASSISTANT, told("user", "And my refund?"), told("assistant", "no")]}

    ((found,), _) = read(json.dumps(row))

    assert found.turns == (*(("user", ASKED), ("assistant", ANSWER)), ("user", "And my refund?"))
    assert (found.input_text, found.answer) == ("And my refund?", "no")


@every_row(("label", "answer"), [(3, "3"), (0.5, "0.5"), (True, "true")])
def test_a_label_that_is_no_text_is_read_as_it_is_written(read, label, answer):
    ((found,), _) = read(json.dumps({"text": ASKED, "label": label}))

    assert found.answer == answer


@every_row(
    "row",
    [
        {"text": "<s>[INST] Where is my parcel? [/INST] delivery"},
        {"chosen": "Human: Where is my parcel? Assistant: delivery", "rejected": "Human: no"},
        {"input": ASKED},
        {"input": ASKED, "expected": None},
        {"input": ASKED, "output": None},
    ],
)
def test_a_row_that_tells_no_answer_apart_has_none(read, row):
    ((found,), errors) = read(json.dumps(row))

    assert (found.answer, errors) == (None, [])
    assert ASKED in found.input_text


USE = {"id": "a", "type": "function", "function": {"name": "track", "arguments": "{}"}}
CALLED = told("assistant", None, tool_calls=[USE])
PICTURE = told("user", [*parts(ASKED), {"type": "image_url", "image_url": {}}])
NOT_TO_FOLLOW = {
    "a disliked completion": {"prompt": ASKED, "completion": ANSWER, "label": False},
    "weight 0": {"messages": [USER, {**ASSISTANT, "weight": 0}]},
    "an answer after a tool": {"messages": [USER, CALLED, told("tool", "it is late"), ASSISTANT]},
    "an answer that is a tool": {"messages": [USER, CALLED]},
    "a picture": {"messages": [PICTURE, ASSISTANT]},
}


@every_row("name", NOT_TO_FOLLOW)
def test_what_is_not_to_be_followed_or_is_more_than_text_is_not_usable(read, name):
    ((found,), errors) = read(json.dumps(NOT_TO_FOLLOW[name]))

    assert (found.input_text, found.usable, errors) == (ASKED, False, [])


# What is wrong --------------------------------------------------------------------------------

GOOD = json.dumps({"input": ASKED, "expected": ANSWER})
WHOLE = "; write a whole object, with keys and texts in double quotes"
OUGHT = '{"input": "the text", "expected": "the answer"}'
ROW_IS = f"a training row is {OUGHT}"
MESSAGE = '{"role": "user", "content": "the text"}'
REPLY = '{"role": "assistant", "content": "the answer"}'
BROKEN = [
    ("[1]", f"a training row is an object such as {OUGHT}"),
    ('{"input": "a"',
     f"not JSON: Expecting ',' delimiter: line 1 column 14 (char 13){WHOLE}; {ROW_IS}"),
    ('{"input": "a", "expectd": "b"}', 'unknown key "expectd"; did you mean "expected"?'),
    ('{"input": 5, "expected": "b"}', f"input must be text, such as {OUGHT}"),
    ('{"prompt": "a", "completion": " "}', "completion is empty; write a text, or remove the row"),
    ('{"messages": "a"}', f"messages must be a list of messages such as {MESSAGE}"),
    ('{"messages": ["a"]}', f"messages: a message is {MESSAGE}"),
    ('{"messages": [{"role": "bot", "content": "a"}]}',
     f'messages: role "bot" is none of system, user, assistant, tool; a message is {MESSAGE}'),
    ('{"messages": [{"role": "user"}]}',
     'messages: content must be text, or a list of parts such as {"text": "the text"}'),
    ('{"messages": [{"role": "user", "content": [{"text": ""}]}]}',
     "messages: content is empty; write a text, or remove the row"),
    ('{"messages": [{"role": "user", "content": "a"}]}',
     f"the last message is not the answer to learn; one is {REPLY}"),
    ('{"conversations": [{"from": "gpt", "value": "a"}]}',
     f"no message of the user comes before the answer; an example is {MESSAGE}"),
    ('{"input": "a", "preferred_output": []}',
     f'input: with preferred_output, write it as {{"messages": [{MESSAGE}]}}'),
    # An unknown format is named by its keys, with the known ones.
    ('{"prompt": "a", "completions": "b"}',
     ('this row has "prompt", "completions"; ...prompt + completion, ...'
     '; did you mean "completion"?')),
    # The answer under another name is not taken for none.
    *(
        (
            f'{{"input": "a", "{key}": "b"}}',
            f'beside "input" the answer is called "expected", and not "{key}"',
        )
        for key in ("target", "answer", "label", "response")
    ),
]  # fmt: skip


@every_row(("line", "message"), BROKEN)
def test_a_broken_line_says_what_to_write_and_the_others_are_read_on(read, line, message):
    found, errors = read(f"{GOOD}\n{line}\n{GOOD}\n")

    assert [one.line for one in found] == [1, 3]
    assert errors == [Like(f"t.jsonl:2: {message}")]


CONFLICT = "<<<<<<< HEAD\n{0}\n=======\n{0}\n>>>>>>> branch\n"
CONFLICTS = {
    "t.jsonl": (CONFLICT.format(GOOD), [1, 3, 5]),
    "t.json": (f"[\n{CONFLICT.format(GOOD)}]", [2, 4, 6]),
    "t.csv": ("input,expected\n" + CONFLICT.format("a,b"), [2, 4, 6]),
    "t.yaml": (CONFLICT.format("- {input: a, expected: b}"), [1, 3, 5]),
}


@every_row("name", CONFLICTS)
def test_a_conflict_marker_is_refused_with_its_line_in_every_kind_of_file(read, name):
    text, lines = CONFLICTS[name]

    _, errors = read(text, name)

    told = "a version-control conflict marker; resolve the conflict"
    assert errors == [f"{name}:{line}: {told}" for line in lines]


@every_row(
    ("text", "message"),
    [
        (GOOD, "t.json:1: a .json file is a list of rows"),
        (f"[\n{GOOD},\nnonsense]", "t.json:3: not JSON: Expecting value"),
        (f"[{GOOD}", "t.json:1: not JSON: Expecting value"),
        (f"[{GOOD}]\n[]", "t.json:1: not JSON: there is text after the end of the list"),
        (f'[{GOOD},\n{{"a": 1, "a": 2}}]', 't.json:2: not JSON: key "a" appears here twice'),
    ],
)
def test_a_json_list_that_is_broken_is_told_with_its_line(read, text, message):
    _, (error,) = read(text, "t.json")

    assert error.startswith(message)


def test_an_edited_file_is_read_again(read):
    read(GOOD)

    ((found,), _) = read(GOOD.replace(ANSWER, "refund"))

    assert found.answer == "refund"


KEYS = (
    *("messages", "conversations", "input", "preferred_output", "prompt", "chosen", "instruction"),
    *("output", "completion", "expected", "text", "label", "system", "role", "from", "content"),
    *("value", "tool_calls", "weight", "id", "tags", "vars"),
)
ROLES = ("user", "assistant", "system", "tool")
SCALARS = st.sampled_from((None, True, False, *ROLES)) | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
LINES = VALUES.map(json.dumps) | st.text() | st.sampled_from(("[" * 100_000, '{"a":' * 100_000))


@pytest.mark.slow
@examples(1)
@given(line=LINES, suffix=st.sampled_from((".jsonl", ".json", ".csv", ".yaml")))
def test_whatever_stands_in_a_line_it_is_at_worst_an_error(tmp_path_factory, line, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_text(line, encoding="utf-8", errors="replace")
    source = Source(root=path.parent, path=path)

    found = read_training_rows(source, path)

    assert all(isinstance(one.input_text, str) and one.answer != "" for one in found)


def test_replies_to_one_case_are_counted_however_their_lines_are_written(tmp_path):
    lines = [
        '{"id": "first", "text": "a"}',
        ' { "id" :"first", "text": "b"}',
        '{"text": "c", "id": "first"}',
        '{"id": "\\u00e9", "text": "a"}',
        '{"id": "é", "text": "b"}',
        '{"id": 7, "text": "a"}',
        '{"id": "7", "text": "b"}',
        '{"id": "once", "text": "\\"id\\": \\"first\\""}',
        '{"text": "no id"}',
        "{",
        "",
    ]
    path = tmp_path / "replies.jsonl"
    path.write_text("\n".join(lines), "utf-8")

    assert count_repeated_replies(path) == {"first": 3, "é": 2, "7": 2}
