"""What a plan says of prompts and examples that mislead, and of cases that were learned."""

from __future__ import annotations

import json

import gguf
import pytest
from ftgate_testing.suite_files import load_text
from ftgate_testing.tables import every_row

from pytest_ftgate import weights
from pytest_ftgate.reporting.plan import contamination_lines
from pytest_ftgate.requests import request_groups as plan
from pytest_ftgate.requests.preflight import (
    Contamination,
    find_contamination,
    find_skill_contamination,
    lint,
    thought_warning,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.cases import leveled_cases
from pytest_ftgate.suite.model import Variant

CASES = [
    {"id": "a", "input": "Where is my green parcel?", "expected": "late"},
    {"id": "b", "input": "My parcel is broken", "expected": "damaged"},
    {"id": "c", "input": "Money back", "expected": "refund"},
]
TRAIN = [
    {"input": "It never came", "expected": "late"},
    {"input": "It came in two parts", "expected": "damaged"},
    {"input": "I want my money", "expected": "refund"},
]
SUITE = """\
prompt: prompt.md
cases: cases.jsonl
reply: {format: {choice: [late, damaged, refund, other]}}
variants: {one: {provider: anthropic, model: m}}
gates: {accuracy: {min: 0.5}}
"""


def jsonl(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.fixture
def found(tmp_path):
    """Return what is found in a suite with a system prompt and further keys of its variant."""

    def told(prompt, *, examples="", cases=CASES, suite=SUITE):
        more = f", examples: {{from: train.jsonl, {examples}}}" if examples else ""
        files = {"prompt.md": prompt, "cases.jsonl": jsonl(cases), "train.jsonl": jsonl(TRAIN)}
        read = load_text(tmp_path, suite.replace("model: m}", f"model: m{more}}}"), files)
        return list(lint(read.variants["one"], plan.task_requests(read, read.variants["one"], {})))

    return told


FORMAT = "reply: {format: {choice: [late, damaged, refund, other]}}\n"
FUNCTION = SUITE.replace("anthropic, model: m", 'python, function: "json:dumps"')
#: What is left alone: the prompt, and what else the suite has.
FINE = {
    "a plain prompt": ("Answer with one label.\n", {}),
    "no prompt": ("", {"suite": SUITE.replace("prompt: prompt.md\n", "")}),
    "a prompt of nearly a thousand tokens": ("x" * 4_003, {}),
    "a document that is put in": ("Answer by this page: {{ page }}", {}),
    "one of two branches": (
        f"{{% if id == 'a' %}}{'x' * 3_000}{{% else %}}{'y' * 3_000}{{% endif %}}",
        {},
    ),
    "an input that is put in": ("Sort this: {{ input }}", {}),
    "an input that is put in through a var": ("Sort this: {{ same }}", {}),
    "words in another order": ("broken is my parcel", {}),
    "words that go on": ("My parcel is brokenhearted", {}),
    "words that begin earlier": ("Tummy parcel is broken", {}),
    "an input of three words or fewer": ("Money back is refund.", {}),
    "a prompt that is never sent": (f"My parcel is broken.{'x' * 5_000}", {"suite": FUNCTION}),
    "examples to choose from": ("Sort.", {"examples": "shots: 1, choose: similar"}),
    "examples of every label": ("Sort.", {"examples": "choose: per_label"}),
    "answers in free text": ("Sort.", {"examples": "shots: 1", "suite": SUITE.replace(FORMAT, "")}),
}


@pytest.mark.slow
@every_row(("prompt", "more"), FINE.values(), ids=FINE)
def test_what_misleads_nobody_is_left_alone(found, prompt, more):
    cases = [{**case, "vars": {"same": case["input"], "page": "x" * 8_000}} for case in CASES]

    assert found(prompt, cases=cases, **more) == []


SLOW = "own.gguf: llama.cpp is slow with weights of type Q4_1 on this processor; Q8_0 of the same "
SLOW += "model answers sooner"


@every_row(
    ("kind", "told"),
    [(gguf.LlamaFileType.MOSTLY_Q4_1, [SLOW]), (gguf.LlamaFileType.MOSTLY_Q8_0, [])],
)
def test_own_weights_of_a_slow_type_alone_are_named_with_a_faster_type(
    found, tmp_path, monkeypatch, kind, told
):
    monkeypatch.setattr(weights.platform, "machine", lambda: "x86_64")
    writer = gguf.GGUFWriter(tmp_path / "own.gguf", "llama")
    writer.add_file_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    suite = SUITE.replace("anthropic, model: m}", f"llamacpp, model: {tmp_path}/own.gguf}}")

    assert found("Answer with one label.\n", suite=suite) == told


# Length --------------------------------------------------------------------------------------


def test_a_prompt_is_long_from_a_thousand_tokens_on(found):
    (told,) = found("x" * 4_004)

    assert told.startswith("the system prompt has about 1,001 tokens; instructions of this length")


def test_a_very_long_prompt_is_reported_with_the_tokens_of_all_requests(found):
    told = "about 4,000 tokens of system prompt in each of 3 requests: about 12,000 tokens in all"

    assert found("x" * 16_000)[1:] == [told]


# Cases in the prompt -------------------------------------------------------------------------


BROKEN = "my parcel is broken: damaged."


@every_row(
    ("prompt", "told"),
    [
        ("Example: where is  MY\ngreen parcel? late", "1 eval case stands"),
        (f"{BROKEN} Where is my green parcel: late.", "2 eval cases stand"),
        # Beside the input that is put in.
        (f"Example: {BROKEN} Now sort this: {{{{ input }}}}", "1 eval case stands"),
    ],
)
def test_a_case_that_stands_in_the_prompt_is_reported_with_the_place_of_the_first(
    found, prompt, told
):
    (sentence,) = found(prompt)

    assert sentence.startswith(f"{told} word for word in the system prompt, the first ")
    line = 1 if "green" in prompt else 2
    assert f"cases.jsonl:{line}; take each out of the prompt or out of the cases" in sentence


# Labels of examples --------------------------------------------------------------------------


def test_examples_that_leave_labels_out_are_reported_with_some_of_them(found):
    told = "the examples show 1 of 3 labels that the cases expect; without damaged, refund"

    assert found("Sort.", examples="shots: 1") == [told]


def test_more_than_three_missing_labels_are_not_all_named(found):
    cases = [{"input": f"say {label}", "expected": label} for label in ("late", *"abcde")]
    suite = SUITE.replace("[late, ", "[a, b, c, d, e, late, ")

    (told,) = found("Sort.", examples="shots: 1", cases=cases, suite=suite)

    assert told.endswith("show 1 of 6 labels that the cases expect; without a, b, c, …")


# Thoughts that do not fit --------------------------------------------------------------------


def thinking(*lengths, limit, model="qwen3-8b"):
    variant = Variant(name="one", line=1, provider="openai-compatible", model=model)
    replies = [Reply(text="4", usage={"thought": length}) for length in lengths]
    return thought_warning(variant, replies, limit)


def test_a_thought_that_does_not_fit_is_named_with_what_to_set():
    assert thinking(500, 700, limit=64) == (
        "qwen3-8b thinks (about 600 tokens), but max_tokens is 64 and cuts it off: set "
        "max_tokens: 1500, or extra: {chat_template_kwargs: {enable_thinking: false}}"
    )


@every_row(
    ("lengths", "limit", "model", "told"),
    [
        # A thought that takes most of the limit is cut off now and then.
        ([600], 1199, "qwen3-8b", "qwen3-8b thinks (about 600 tokens), but max_tokens is 1,199"),
        ([600], 1200, "qwen3-8b", ""),
        # The name says that it thinks.
        ([], 12, "gpt-oss-20b", "gpt-oss-20b thinks, but max_tokens is 12"),
        ([], 1024, "gpt-oss-20b", ""),
        ([], 12, "qwen3-8b", ""),
    ],
)
def test_a_thought_is_likely_to_be_cut_off_by_what_is_known_of_its_length(
    lengths, limit, model, told
):
    assert thinking(*lengths, limit=limit, model=model).partition(" and cuts it off")[0] == told


# Cases in the training data -----------------------------------------------------------------------

TUNED = """\
cases:
  - {id: a, input: Where is the parcel that I ordered?, expected: x}
  - {id: b, input: "Money back, please", expected: y}
  - {id: c, messages: [{role: user, content: "Hi"}, {role: user, content: Cancel it}], expected: z}
variants:
  current: {provider: anthropic, model: m}
  tuned: {like: current, model: n, base: m, training_data: t.jsonl}
gates: {accuracy: {min: 0.5}}
"""


@pytest.fixture
def leaked_from(tmp_path):
    """Return what a variant was trained on, given the rows of its training data."""

    def found(*rows, variant="tuned"):
        suite = load_text(tmp_path, TUNED, {"t.jsonl": jsonl(rows)})
        return find_contamination(suite, suite.variants[variant])

    return found


OTHER = {"prompt": "Close my account", "completion": "w"}
IN = "where is the parcel, that I ordered"


@every_row(
    "row",
    [
        {"input": IN, "expected": "x"},
        {"instruction": "Sort the ticket.", "input": IN, "output": "x"},
        {"prompt": IN, "completion": "x", "label": False},
        {"text": f"<s>[INST] Sort the ticket: {IN} [/INST] x</s>"},
        {
            "conversations": [
                *({"from": "human", "value": IN}, {"from": "gpt", "value": "x"}),
                *({"from": "human", "value": "And now?"}, {"from": "gpt", "value": "y"}),
            ]
        },
    ],
)
def test_a_case_is_found_in_a_row_of_any_shape_with_its_line(leaked_from, row):
    assert leaked_from(OTHER, row) == Contamination(
        "tuned", "t.jsonl", cases=3, leaked=1, first_case="a", line=2
    )


def test_a_case_counts_once_with_the_first_line_that_holds_it(leaked_from):
    row = {"prompt": "please money back", "completion": "y"}

    assert leaked_from(row, row, {"prompt": "cancel it", "completion": "z"}) == Contamination(
        "tuned", "t.jsonl", cases=3, leaked=2, first_case="b", line=1
    )


@every_row("row", [OTHER, {"text": "He said: cancel it. Money back, please, he said."}])
def test_other_rows_and_short_texts_within_longer_ones_are_no_leak(leaked_from, row):
    assert leaked_from(row) is None


def test_a_variant_without_training_data_leaks_nothing(leaked_from):
    assert leaked_from({"input": IN, "expected": "x"}, variant="current") is None


@every_row(
    ("leaked", "told"),
    [
        (1, "1 of 1,000 cases is in t.jsonl, a (line 2)"),
        (30, "30 of 1,000 cases are in t.jsonl, as a (line 2)"),
    ],
)
def test_the_plan_counts_the_cases_and_names_the_first(leaked, told):
    one = Contamination("tuned", "t.jsonl", cases=1000, leaked=leaked, first_case="a", line=2)

    assert [*contamination_lines([one])] == [
        f"  tuned: {told}: the model may repeat them from memory"
    ]


@every_row("family", ["hard-conversation", "hard-honesty", "hard-long-context", "hard-mathematics"])
def test_a_case_of_a_level_is_found_whole_in_the_training_data(tmp_path, family):
    first, other, *_ = leveled_cases(family, 1)
    turns = first.messages or (("user", first.input),)
    messages = [{"role": role, "content": text} for role, text in turns]
    last = {"role": "user", "content": other.input_text[:20]}
    rows = [
        {"messages": [*messages, {"role": "assistant", "content": "12"}]},
        {"messages": [last, {"role": "assistant", "content": "12"}]},
    ]
    variant = load_text(tmp_path, TUNED, {"t.jsonl": jsonl(rows)}).variants["tuned"]

    found = find_skill_contamination(leveled_cases(family, 1), variant)

    assert found is not None
    assert found.case_ids == {first.id}
