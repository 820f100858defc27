"""What newcomers get wrong is answered with what to write instead."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite

SUITE = """\
prompt: p.md
cases: c.csv
reply: {format: {choice: [positive, negative]}}
variants:
  current: {provider: openai-compatible, model: m}
gates:
  accuracy: {min: 0.2}
"""
ROWS = [(f"s{n}", f"text {n}", ("positive", "negative")[n % 2]) for n in range(20)]
CSV = "".join(",".join(row) + "\n" for row in [("id", "input", "expected"), *ROWS])


def load(folder, *, old="", new="", header="", prompt="Label it.\n", files=()):
    """Load the suite with *old* replaced by *new*, and *header* in place of that of the cases."""
    text = CSV.replace("id,input,expected", header) if header else CSV
    for name, content in {"p.md": prompt, "c.csv": text, **dict(files)}.items():
        (folder / name).write_text(content, "utf-8")
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.replace(old, new) if old else SUITE, "utf-8")
    return load_suite(path, folder)


def error(folder, **mistake):
    with pytest.raises(SuiteError) as caught:
        load(folder, **mistake)
    (one,) = caught.value.errors
    return str(one)


@every_row(
    ("header", "names", "columns"),
    [
        ("id,text,label", "id, text, label", "input: text, expected: label"),
        ("id,question,answer", "id, question, answer", "input: question, expected: answer"),
        ("id,input,label", "id, input, label", "expected: label"),
    ],
)
def test_other_names_of_columns_are_one_error_with_both_remedies(tmp_path, header, names, columns):
    assert error(tmp_path, header=header) == (
        f"c.csv:1: the columns are {names}; a case has input and expected: rename them, or write "
        f"columns: {{{columns}}} in the suite"
    )


def test_the_columns_that_the_error_names_load(tmp_path):
    more = "columns: {input: text, expected: label}\ngates:"

    assert len(load(tmp_path, header="id,text,label", old="gates:", new=more).cases) == 20


def test_spaces_around_the_names_of_columns_are_left_out(tmp_path):
    assert len(load(tmp_path, header=" id, input,expected ").cases) == 20


def test_a_comma_after_an_object_is_named(tmp_path):
    lines = '{"input": "a", "expected": "positive"},\n{"input": "b", "expected": "positive"}\n'

    message = error(tmp_path, old="c.csv", new="c.jsonl", files={"c.jsonl": lines})

    assert message == "c.jsonl:1: not JSON: a comma follows the object; remove it"


@every_row("delimiter", [";", "\t", "|"])
def test_a_table_with_another_delimiter_loads(tmp_path, delimiter):
    suite = load(tmp_path, files={"c.csv": CSV.replace(",", delimiter)})

    assert suite.cases[1].input == "text 1"


@every_row(
    ("old", "new", "message"),
    [
        ("min: 0.2", "min: 85%", '7: min must be a number, not "85%"; for 85 % write 0.85'),
        ("0.2", '"0.2"', '7: min must be a number, not "0.2"; write 0.2 without quotes'),
        ("0.2", '"high"', '7: min must be a number, not "high"'),
        (
            "gates:",
            "baseline: [current, b]\ngates:",
            "6: baseline must be the name of one variant, not a list",
        ),
        (
            "model: m",
            'model: m, base_url: "127.0.0.1:8000/v1"',
            (
                '5: variant "current": the address does not begin with http:// or https://; write '
                "http://127.0.0.1:8000/v1"
            ),
        ),
        (
            "model: m",
            'model: m, base_url: "http://127.0.0.1:PORT/v1"',
            (
                '5: variant "current": no address: Port could not be cast to integer value as '
                "'PORT'; write it as http://localhost:8080/v1"
            ),
        ),
        (
            "openai-compatible",
            "ollama",
            (
                '5: variant "current": unknown provider "ollama"; for ollama write provider: '
                "openai-compatible, base_url: http://127.0.0.1:11434/v1"
            ),
        ),
        (
            "  accuracy",
            "\taccuracy",
            (
                "7: not YAML: found character that cannot start any token; the line begins with a "
                "tab: indent with spaces"
            ),
        ),
        ("cases: c.csv", "cases: []", "2: cases: the list is empty"),
        (
            "{min: 0.2}",
            "0.2",
            "7: accuracy must be a mapping of keys to values, not 0.2; write accuracy: {min: 0.2}",
        ),
        (
            "prompt: p.md",
            "system: p.md",
            '1: unknown key "system"; the system prompt is a file: write prompt: FILE',
        ),
        (
            "model: m",
            "model: m, system_prompt: p.md",
            (
                '5: variant "current": unknown key "system_prompt"; the system prompt is a file: '
                "write prompt: FILE"
            ),
        ),
        (
            "prompt: p.md",
            "prompt: |\n  Label it.",
            "1: prompt is a file: write “Label it. …” into one, and its path here",
        ),
        (
            "prompt: p.md",
            "prompt: You are a helpful bot. Label it.",
            "1: prompt is a file: write “You are a helpful …” into one, and its path here",
        ),
        (
            "prompt: p.md",
            "prompt: a b c d.md",
            "1: prompt: a b c d.md does not exist (looked in ./)",
        ),
        (
            "model: m",
            "model: m, api_key: sk-1",
            (
                '5: variant "current": unknown key "api_key"; a key in a file gets committed: put '
                "it into a variable, and name that in api_key_env"
            ),
        ),
        (
            "model: m",
            'model: m, base_url: "${URL}"',
            (
                '5: variant "current": variables are not read here; write base_url_env: URL, with '
                "the address in URL"
            ),
        ),
        (
            "model: m",
            'model: m, base_url: "http://${HOST}:8000/v1"',
            (
                '5: variant "current": variables are not read here; write base_url_env: HOST, with '
                "the address in HOST"
            ),
        ),
    ],
)
def test_a_wrong_value_is_answered_with_the_right_one(tmp_path, old, new, message):
    assert error(tmp_path, old=old, new=new) == f"s.ftgate.yaml:{message}"


def test_braces_that_are_no_variable_are_answered_with_how_to_write_them(tmp_path):
    message = error(tmp_path, prompt='Answer as {{"label": "positive"}}.\n')

    assert message.startswith("p.md:1: not a template: ")
    assert message.endswith("put literal ones into {% raw %}…{% endraw %}")


def test_the_braces_load_as_the_error_says(tmp_path):
    suite = load(tmp_path, prompt='Answer {% raw %}{{"label": "positive"}}{% endraw %}.\n')

    assert suite.variants["current"].system is not None


@every_row(
    ("name", "content", "message"),
    [
        (
            "c.jsonl",
            '[\n {"input": "a", "expected": "positive"}\n]\n',
            (
                "the file holds a list, as .json files do; name the file .json, or write one "
                "object in each line"
            ),
        ),
        (
            "c.json",
            '{"input": "a"}\n{"input": "b"}\n',
            (
                "a .json file is a list of rows: write [{…}, {…}], or name the file .jsonl if each "
                "line is an object"
            ),
        ),
    ],
)
def test_lists_and_lines_of_json_are_told_apart(tmp_path, name, content, message):
    found = error(tmp_path, old="c.csv", new=name, files={name: content})

    assert found == f"{name}:1: {message}"


def test_whole_numbers_as_ids_are_read_as_text(tmp_path):
    rows = "".join(f'{{"id": {n}, "input": "t{n}", "expected": "positive"}}\n' for n in range(3))

    suite = load(tmp_path, old="c.csv", new="c.jsonl", files={"c.jsonl": rows})

    assert [case.id for case in suite.cases] == ["0", "1", "2"]


def test_json_in_a_cell_is_a_mapping_where_it_is_scored_as_one(tmp_path):
    cells = "".join(f'"text {n}","{{""total"": {n}}}"\n' for n in range(3))
    fields = {"old": "{format: {choice: [positive, negative]}}", "new": "{score: fields}"}

    suite = load(tmp_path, **fields, files={"c.csv": f"input,expected\n{cells}"})

    assert suite.cases[2].expected == {"total": 2}


def test_json_in_a_cell_that_is_broken_is_an_error(tmp_path):
    cells = 'input,expected\na,"{total: 1}"\n'
    fields = {"old": "{format: {choice: [positive, negative]}}", "new": "{score: fields}"}

    assert error(tmp_path, **fields, files={"c.csv": cells}) == (
        "c.csv:2: expected is text that is no JSON, but score is fields; check its quotes"
    )


def test_a_quote_that_is_not_closed_is_named_where_it_opens(tmp_path):
    text = CSV + 's21,"open,positive\n' + "".join(f"x{n},y,positive\n" for n in range(9))

    assert error(tmp_path, files={"c.csv": text}) == (
        'c.csv:22: not CSV: a quote opens here and is not closed; close it with "'
    )
