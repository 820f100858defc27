"""Data in the shapes that people have, and the suite that init makes of each."""

from __future__ import annotations

import csv
import io
import json
import re
from urllib.parse import urlsplit

import pytest
import yaml
from ftgate_testing.canary import KEY_NAMES
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.suite_files import write_files

from pytest_ftgate.cli import scaffold

COUNT = 30
LABELS = ("billing", "delivery", "refund")


def question(n):
    return f"Question number {n}, please"


def label(n):
    return LABELS[n % 3]


def order(n):
    return {"product": f"ink {n}", "quantity": n, "urgent": n % 2 == 0}


def order_text(n):
    return json.dumps(order(n))


def table(header, row, delimiter=","):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(header)
    writer.writerows(row(n) for n in range(COUNT))
    return file.getvalue()


def lines(row):
    return "".join(f"{json.dumps(row(n))}\n" for n in range(COUNT))


def turns(n, *last):
    earlier = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]
    return [*earlier, {"role": "user", "content": question(n)}, *last]


def talk(n):
    system = {"role": "system", "content": "An older prompt."}
    return [system, *turns(n, {"role": "assistant", "content": label(n)})]


ADAPTER = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "org/base"}
CHOICE = {"format": {"choice": [*LABELS]}}
TYPES = {"product": "string", "quantity": "number", "urgent": "boolean"}
SCHEMA = {
    "type": "object",
    "required": [*TYPES],
    "properties": {key: {"type": kind} for key, kind in TYPES.items()},
}
FIELDS = {"format": {"json_schema": SCHEMA}, "score": "fields"}
#: By the shape: the files beside the prompt, what the model answers, the rules for replies, and the
#: tokens that an answer has.
SHAPES = {
    "labels in CSV": (
        {"qa.csv": table(["text", "label"], lambda n: [question(n), label(n)])}, label, CHOICE, 8,
    ),
    "JSON in the cells of a CSV": (
        {"qa.csv": table(["email", "gold"], lambda n: [question(n), order_text(n)])},
        order_text, FIELDS, 64,
    ),
    "objects in JSONL": (
        {"qa.jsonl": lines(lambda n: {"input": question(n), "expected": order(n)})},
        order_text, FIELDS, 64,
    ),
    "JSON as text in JSONL": (
        {"qa.jsonl": lines(lambda n: {"input": question(n), "expected": order_text(n)})},
        order_text, FIELDS, 64,
    ),
    "chat messages": (
        {"qa.jsonl": lines(lambda n: {"messages": turns(n), "expected": label(n)})},
        label, CHOICE, 8,
    ),
    "chat messages beside another column": (
        {"qa.jsonl": lines(lambda n: {"messages": turns(n), "gold": label(n), "source": "web"})},
        label, CHOICE, 8,
    ),
    "chats that end with the answer": (
        {"qa.jsonl": lines(lambda n: {"messages": talk(n)})}, label, CHOICE, 8,
    ),
    "semicolons, a byte order mark and spaces in the header": (
        {"qa.csv": "\ufeff" + table(["Text ", " Label "], lambda n: [question(n), label(n)], ";")},
        label, CHOICE, 8,
    ),
    "tabs": (
        {"qa.tsv": table(["ticket", "label"], lambda n: [question(n), label(n)], "\t")},
        label, CHOICE, 8,
    ),
    "a prompt with two columns as variables": (
        {"qa.md": "In {{ shop }}: {{ ticket }}\n",
         "qa.csv": table(["ticket", "shop", "label"], lambda n: [question(n), "Bonn", label(n)])},
        label, CHOICE, 8,
    ),
    "an export of LangSmith": (
        {"qa.jsonl": lines(lambda n: {"id": f"r{n}", "inputs": {"question": question(n)},
                                      "outputs": {"answer": label(n)}, "metadata": {}})},
        label, CHOICE, 8,
    ),
    "numbers": (
        {"qa.csv": table(["question", "answer"], lambda n: [question(n), f"{n * 10}"])},
        lambda n: f"It is {n * 10}.", {"score": "numeric"}, 64,
    ),
    "names": (
        {"qa.json": json.dumps([{"question": question(n), "answer": f"city {n}"}
                                for n in range(COUNT)])},
        lambda n: f"It is city {n}.", {"score": "contains"}, 64,
    ),
    "an adapter beside": (
        {"qa.csv": table(["text", "label"], lambda n: [question(n), label(n)]),
         "out/adapter_config.json": json.dumps(ADAPTER), "out/adapter_model.safetensors": ""},
        label, CHOICE, 8,
    ),
}  # fmt: skip
#: Those whose suites are run as well: one of each score, and of each way in which cases come.
RUN = ("objects in JSONL", "chats that end with the answer", "numbers", "names",
       "a prompt with two columns as variables")  # fmt: skip
#: The room for a thought, which a server's model may need.
ROOM = 1_000


@pytest.fixture
def desk(pytester, monkeypatch):
    """An empty repository on a machine without keys."""
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    (pytester.path / ".git").mkdir()
    return pytester.path


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_becomes_a_suite_with_its_score_that_passes(
    desk, run_verb, pytester, monkeypatch, shape
):
    files, answer, rules, tokens = SHAPES[shape]
    write_files(desk, {"qa.md": "Sort.\n", **files})

    def reply(request):
        (number,) = re.findall(r"number (\d+)", str(request["messages"][-1]) + str(request))[:1]
        return Said(answer(int(number)))

    with chat_server(reply, models=[{"id": "base"}]) as server:
        monkeypatch.setattr(scaffold, "LOCAL_PORTS", (urlsplit(server.url).port,))
        code, printed = run_verb("init")
        if shape in RUN:
            pytester.runpytest("--ftgate").assert_outcomes(passed=1 + ("format" in rules))

    assert code == 0, printed
    assert printed.count("30 of 30") == 1 + ("format" in rules)
    text = (desk / "qa.ftgate.yaml").read_text("utf-8")
    suite = yaml.safe_load(text)
    assert suite["reply"] == {**rules, "max_tokens": tokens + ROOM}
    assert ("  # tuned: {" in text) == ("adapter" in shape)
    assert max(map(len, printed.splitlines())) <= 80
    assert len(server.requests) == COUNT
    assert all("older prompt" not in str(request) for request in server.requests)
    has_turns = "chat" in shape
    assert all(("Hi!" in str(request)) == has_turns for request in server.requests)


def test_two_unknown_columns_are_named_with_the_likely_ones(desk, run_verb):
    write_files(desk, {"qa.md": "Sort.\n", "qa.csv": table(
        ["team", "ticket"], lambda n: [label(n), question(n)])})  # fmt: skip

    code, printed = run_verb("init")

    assert code == 1
    assert "\n  pytest-ftgate init --input ticket --expected team\n" in printed
    assert max(map(len, printed.replace(str(desk), "").splitlines())) <= 80


def test_of_three_columns_only_the_unknown_role_is_asked_for(desk, run_verb):
    write_files(desk, {"qa.md": "Sort.\n", "qa.csv": table(
        ["ticket", "shop", "label"], lambda n: [question(n), "Bonn", label(n)])})  # fmt: skip

    _, printed = run_verb("init")

    assert "qa.csv (ticket, shop, label); name one of them:\n" in printed
    assert "\n  pytest-ftgate init --input COLUMN\n" in printed


def test_cases_that_cannot_be_used_leave_no_file_behind(desk, run_verb):
    cases = table(["ticket", "label"], lambda n: [question(n), order_text(n) if n else "{broken"])
    write_files(desk, {"qa.md": "Sort {{ ticket }}.\n", "qa.csv": cases})

    code, printed = run_verb("init")

    assert code == 1
    assert "expected is text that is no JSON, but score is fields" in printed
    assert sorted(path.name for path in desk.glob("qa*")) == ["qa.csv", "qa.md"]


@pytest.mark.parametrize(("name", "told"), [
    ("qa.xlsx", "qa.xlsx; save it as .csv"),
    ("qa.parquet", "qa.parquet; pytest-ftgate import makes a suite of it"),
])  # fmt: skip
def test_a_table_that_init_does_not_read_is_named_with_what_to_do(desk, run_verb, name, told):
    write_files(desk, {"qa.md": "Sort.\n", name: ""})

    code, printed = run_verb("init")

    assert code == 1
    assert f"Found, but not read: {told}\n" in printed


@pytest.mark.parametrize("files", [
    ("a.md", "b.csv"), ("b.csv", "a.md"), ("a.md", "--cases", "b.csv"), ("a.md",),
])  # fmt: skip
def test_the_prompt_and_the_cases_are_named_in_any_order(desk, run_verb, monkeypatch, files):
    monkeypatch.setattr(scaffold, "LOCAL_PORTS", ())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    cases = table(["text", "label"], lambda n: [question(n), label(n)])
    write_files(desk, {"a.md": "Sort.\n", "b.csv": cases})

    code, printed = run_verb("init", *files)

    assert code == 0, printed
    suite = yaml.safe_load((desk / "a.ftgate.yaml").read_text("utf-8"))
    assert (suite["prompt"], suite["cases"]) == ("a.md", "b.csv")


def test_more_than_two_files_are_refused(desk, run_verb):
    code, printed = run_verb("init", "a.md", "b.csv", "c.csv")

    assert code == 1
    assert "init takes a prompt and a file of cases, not a.md b.csv c.csv" in printed
