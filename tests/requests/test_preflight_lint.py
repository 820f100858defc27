"""What a plan says of prompts and examples that are likely to mislead; and what it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate import weights
from pytest_ftgate.requests import request_groups as plan
from pytest_ftgate.requests.preflight import lint, thought_warning
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Variant

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.ftgate.yaml"
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

    def told(prompt, more="", cases=CASES, suite=SUITE):
        (tmp_path / "prompt.md").write_text(prompt, "utf-8")
        (tmp_path / "cases.jsonl").write_text(jsonl(cases), "utf-8")
        (tmp_path / "train.jsonl").write_text(jsonl(TRAIN), "utf-8")
        path = tmp_path / "s.ftgate.yaml"
        path.write_text(suite.replace("model: m}", f"model: m{more}}}"), "utf-8")
        read = load_suite(path, tmp_path)
        return list(lint(read.variants["one"], plan.task_requests(read, read.variants["one"], {})))

    return told


def test_a_plain_prompt_is_left_alone(found):
    assert found("Answer with one label.\n") == []


def test_own_weights_of_a_slow_type_are_named_with_a_faster_type(found, tmp_path, monkeypatch):
    monkeypatch.setattr(weights.platform, "machine", lambda: "x86_64")
    writer = gguf.GGUFWriter(tmp_path / "own.gguf", "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    suite = SUITE.replace("anthropic, model: m}", "llamacpp, model: own.gguf}")

    (sentence,) = found("Answer with one label.\n", suite=suite)

    slow = "llama.cpp is slow with weights of type Q4_1 on this processor"
    assert sentence == f"own.gguf: {slow}; Q8_0 of the same model answers sooner"


def test_a_suite_without_a_prompt_is_left_alone(found):
    assert found("", suite=SUITE.replace("prompt: prompt.md\n", "")) == []


# Length --------------------------------------------------------------------------------------


@every_row(("characters", "told"), [(4_003, False), (4_004, True)])
def test_a_prompt_is_long_from_a_thousand_tokens_on(found, characters, told):
    assert bool(found("x" * characters)) == told


def test_a_long_prompt_is_reported_with_about_its_tokens(found):
    (told,) = found("x" * 5_360)

    assert told.startswith("the system prompt has about 1,340 tokens; instructions of this length")


def test_a_very_long_prompt_is_reported_with_the_tokens_of_all_requests(found):
    assert found("x" * 16_000)[1:] == [
        "about 4,000 tokens of system prompt in each of 3 requests: about 12,000 tokens in all"
    ]


def test_a_document_that_is_put_in_is_no_instruction(found):
    cases = [{**case, "vars": {"page": "x" * 8_000}} for case in CASES]

    assert found("Answer by this page: {{ page }}", cases=cases) == []


def test_of_two_branches_only_one_is_read(found):
    branches = f"{{% if id == 'a' %}}{'x' * 3_000}{{% else %}}{'y' * 3_000}{{% endif %}}"

    assert found(branches) == []


# Cases in the prompt -------------------------------------------------------------------------


def test_a_case_that_stands_in_the_prompt_is_reported_with_its_place(found):
    (told,) = found("Example: where is  MY\ngreen parcel? late")

    assert told.startswith("1 eval case stands word for word in the system prompt, the first ")
    assert "cases.jsonl:1; take each out of the prompt or out of the cases" in told


def test_of_several_cases_the_first_is_named(found):
    prompt = "My parcel is broken: damaged. Where is my green parcel: late."

    (told,) = found(prompt)

    assert told.startswith("2 eval cases stand word for word in the system prompt, the first cases")


def test_a_case_beside_the_input_that_is_put_in_is_reported(found):
    (told,) = found("Example: my parcel is broken: damaged. Now sort this: {{ input }}")

    assert told.startswith("1 eval case stands word for word")


NO_CASE = {
    "an input that the template puts in": "Sort this: {{ input }}",
    "an input that is put in through a var": "Sort this: {{ same }}",
    "words in another order": "broken is my parcel",
    "words that go on": "My parcel is brokenhearted",
    "words that begin earlier": "Tummy parcel is broken",
    "an input of three words or fewer": "Money back is refund.",
}


@every_row("what", NO_CASE)
def test_what_is_no_case_of_the_prompt_is_left_alone(found, what):
    cases = [{**case, "vars": {"same": case["input"]}} for case in CASES]

    assert found(NO_CASE[what], cases=cases) == []


def test_a_prompt_that_is_never_sent_is_left_alone(found):
    function = SUITE.replace(
        "provider: anthropic, model: m", 'provider: python, function: "json:dumps"'
    )

    assert found("My parcel is broken: damaged." + "x" * 5_000, suite=function) == []


# Labels of examples --------------------------------------------------------------------------


def test_examples_that_leave_labels_out_are_reported_with_some_of_them(found):
    assert found("Sort.", ", examples: {from: train.jsonl, shots: 1}") == [
        "the examples show 1 of 3 labels that the cases expect; without damaged, refund"
    ]


def test_more_than_three_missing_labels_are_not_all_named(found):
    cases = [{"input": f"say {label}", "expected": label} for label in "abcde"]
    suite = SUITE.replace("[late, ", "[a, b, c, d, e, late, ")
    few = [{"input": "so", "expected": "late"}, *cases]

    (told,) = found("Sort.", ", examples: {from: train.jsonl, shots: 1}", few, suite)

    assert told.endswith("show 1 of 6 labels that the cases expect; without a, b, c, …")


def test_examples_to_choose_from_are_read_whole(found):
    assert found("Sort.", ", examples: {from: train.jsonl, shots: 1, choose: similar}") == []


def test_examples_of_every_label_that_is_expected_are_left_alone(found):
    assert found("Sort.", ", examples: {from: train.jsonl, choose: per_label}") == []


def test_answers_in_free_text_are_no_labels(found):
    free = SUITE.replace("reply: {format: {choice: [late, damaged, refund, other]}}\n", "")

    assert found("Answer.", ", examples: {from: train.jsonl, shots: 1}", suite=free) == []


# The example ---------------------------------------------------------------------------------


def test_of_the_bundled_example_only_what_is_true_is_reported(tmp_path):
    shutil.copytree(EXAMPLE.parent, tmp_path, dirs_exist_ok=True)
    few_shot = "few-shot: {like: current, examples: {from: tickets.train.jsonl, shots: 5}}"
    text = EXAMPLE.read_text("utf-8").replace("variants:\n", f"variants:\n  {few_shot}\n", 1)
    (tmp_path / EXAMPLE.name).write_text(text, "utf-8")
    suite = load_suite(tmp_path / EXAMPLE.name, tmp_path)
    rows = (EXAMPLE.parent / "tickets.train.jsonl").read_text("utf-8").splitlines()
    shown = {json.loads(row)["expected"] for row in rows[:5]}

    told = {
        name: list(lint(variant, plan.task_requests(suite, variant, {})))
        for name, variant in suite.variants.items()
    }

    assert [name for name, found in told.items() if found] == ["few-shot"]
    (sentence,) = told["few-shot"]
    assert sentence.startswith(f"the examples show {len(shown)} of 18 labels that the cases expect")


def thinking(*lengths, limit, model="qwen3-8b"):
    variant = Variant(name="one", line=1, provider="openai-compatible", model=model)
    replies = [Reply(text="4", usage={"thought": length}) for length in lengths]
    return thought_warning(variant, replies, limit)


def test_a_thought_that_does_not_fit_is_named_with_what_to_set():
    assert thinking(500, 700, limit=64) == (
        "qwen3-8b thinks (about 600 tokens), but max_tokens is 64 and cuts it off: set "
        "max_tokens: 1500, or extra: {chat_template_kwargs: {enable_thinking: false}}"
    )


def test_a_thought_that_takes_most_of_the_limit_is_cut_off_now_and_then():
    assert thinking(600, limit=1199)
    assert not thinking(600, limit=1200)


def test_a_model_whose_name_says_that_it_thinks_needs_no_reply_for_the_warning():
    assert thinking(limit=12, model="gpt-oss-20b").startswith("gpt-oss-20b thinks, but max_tokens")
    assert not thinking(limit=1024, model="gpt-oss-20b")
    assert not thinking(limit=12)
