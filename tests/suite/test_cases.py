"""Cases from files, globs and in place: read whole, and refused by line."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.loader import load_suite

SUITE = """\
cases: {cases}
{more}
variants: {{one: {{provider: python, function: "answers:reply"}}}}
gates: {{accuracy: {{min: 0.5}}}}
"""


def suite(folder, cases, more="", **files):
    """Write a suite over *cases*, and files named with ``__`` for the dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(cases=cases, more=more), encoding="utf-8")
    return path


def cases(folder, written, more="", **files):
    return load_suite(suite(folder, written, more, **files), folder).cases


def errors(folder, written, more="", **files):
    with pytest.raises(SuiteError) as caught:
        cases(folder, written, more, **files)
    return [str(error) for error in caught.value.errors]


SAME = {
    "c.jsonl": '{"id": "1", "input": "a", "expected": "b", "tags": ["x", "y"], "vars": {"t": "z"}}',
    "c.json": '[{"id": "1", "input": "a", "expected": "b", "tags": ["x", "y"],"vars": {"t": "z"}}]',
    "c.csv": 'id,input,expected,tags,vars.t\n1,a,b,"x, y",z\n',
    "c.yaml": '- {id: "1", input: a, expected: b, tags: [x, y], vars: {t: z}}\n',
    "c.yml": '- {id: "1", input: a, expected: b, tags: [x, y], vars: {t: z}}\n',
}


@every_row("name", SAME)
def test_a_case_is_the_same_from_every_kind_of_file(tmp_path, name):
    (case,) = cases(tmp_path, name, **{name.replace(".", "__"): SAME[name]})

    assert (case.id, case.input, case.expected) == ("1", "a", "b")
    assert (case.tags, case.vars) == (("x", "y"), {"t": "z"})
    assert case.location.startswith(f"{name}:")


def test_cases_may_stand_in_the_suite_itself_and_know_their_lines(tmp_path):
    found = cases(tmp_path, "\n  - {input: a, expected: b}\n  - input: c\n    expected: d")

    assert [case.location for case in found] == ["s.ftgate.yaml:2", "s.ftgate.yaml:3"]


def test_a_glob_reads_its_files_in_the_order_of_their_names(tmp_path):
    rows = {f"{n}__jsonl": json.dumps({"input": n, "expected": n}) for n in ("b", "a", "c")}

    assert [case.input for case in cases(tmp_path, '"*.jsonl"', **rows)] == ["a", "b", "c"]


def test_a_case_without_an_id_has_one_that_depends_on_its_input_alone(tmp_path):
    first, _ = cases(tmp_path, "[{input: a, expected: b}, {input: c, expected: d}]")
    _, second = cases(tmp_path, "[{input: c, expected: d}, {input: a, expected: other}]")

    assert first.id == second.id
    assert len(first.id) == 8


def test_empty_lines_and_a_first_row_about_the_file_are_no_cases(tmp_path):
    text = '{"about": "eval cases"}\n\n{"input": "a", "expected": "b"}\n\n'

    assert [c.location for c in cases(tmp_path, "c.jsonl", c__jsonl=text)] == ["c.jsonl:3"]


def test_a_byte_order_mark_as_excel_writes_it_is_no_part_of_the_first_column(tmp_path):
    (case,) = cases(tmp_path, "c.csv", c__csv="\ufeffinput,expected\na,b\n")

    assert case.input == "a"


def test_line_ends_of_windows_are_no_part_of_the_last_column(tmp_path):
    (case,) = cases(tmp_path, "c.csv", c__csv="input,expected\r\na,b\r\n")

    assert (case.input, case.expected) == ("a", "b")


def test_a_line_separator_inside_a_text_does_not_end_the_row(tmp_path):
    row = json.dumps({"input": "a\u2028b", "expected": "c"}, ensure_ascii=False)

    assert cases(tmp_path, "c.jsonl", c__jsonl=row)[0].input == "a\u2028b"


def test_a_csv_row_of_several_lines_has_the_line_it_begins_in(tmp_path):
    text = 'input,expected\n"a\nb\nc",d\ne,f\n'

    found = cases(tmp_path, "c.csv", c__csv=text)

    assert [case.location for case in found] == ["c.csv:2", "c.csv:5"]


# What is wrong in a file ---------------------------------------------------------------------

GOOD = '{"input": "a", "expected": "b"}'


def test_every_broken_line_is_named_by_its_number_and_the_others_are_read_on(tmp_path):
    text = f'{GOOD}\n{{"input": "c"\nnonsense\n{{"inptu": "d"}}\n[1]\n'

    assert [error.partition(" (")[0] for error in errors(tmp_path, "c.jsonl", c__jsonl=text)] == [
        "c.jsonl:2: not JSON: Expecting ',' delimiter: line 1 column 14",
        "c.jsonl:3: not JSON: Expecting value: line 1 column 1",
        'c.jsonl:4: in a case: unknown key "inptu"; did you mean "input"?',
        "c.jsonl:5: in a case: it must be a mapping of keys to values, not a list",
    ]


CONFLICT = "<<<<<<< HEAD\n{0}\n=======\n{1}\n>>>>>>> branch\n"


@every_row(
    ("name", "text"),
    [
        ("c.jsonl", CONFLICT.format(GOOD, '{"input": "c", "expected": "d"}')),
        ("c.csv", "input,expected\n" + CONFLICT.format("a,b", "a,c")),
        ("c.yaml", CONFLICT.format("- {input: a, expected: b}", "- {input: a, expected: c}")),
    ],
)
def test_each_conflict_marker_is_named_and_is_never_a_case(tmp_path, name, text):
    message = "a version-control conflict marker; resolve the conflict"
    marker_lines = [
        n for n, row in enumerate(text.split("\n"), 1) if row[:3] in ("<<<", "===", ">>>")
    ]
    found = errors(tmp_path, name, **{name.replace(".", "__"): text})

    assert [error for error in found if message in error] == [
        f"{name}:{number}: {message}" for number in marker_lines
    ]


KINDS = "use .jsonl, .json, .csv, .tsv, .parquet or .yaml"
BARE = "YAML reads the bare word no as false"
TAKEN = '{"id": "a", "input": "q", "expected": "x"}'
#: What the suite names, the files that there are, and what is told.
UNUSABLE = [
    ('"*.jsonl"', {}, "s.ftgate.yaml:1: cases: no file matches *.jsonl"),
    # It does not swallow the cases after it.
    (
        "c.csv",
        {"c.csv": 'input,expected\na,b\n"c,d\ne,f\n'},
        'c.csv:3: not CSV: a quote opens here and is not closed; close it with "',
    ),
    (
        "c.csv",
        {"c.csv": "input,expected\na,b,c\n"},
        "c.csv:2: more cells than the header has columns: quote the text that holds the delimiter",
    ),
    (
        "c.jsonl",
        {"c.jsonl": '{"input": "a", "expected": "b", "expected": "c"}'},
        'c.jsonl:1: not JSON: key "expected" appears here twice; keep one',
    ),
    (
        "c.jsonl",
        {"c.jsonl": f"{TAKEN}\n{GOOD}\n{TAKEN}"},
        'c.jsonl:3: id "a" is taken by c.jsonl:1; ids must be unique',
    ),
    (
        '"*.jsonl"',
        {"one.jsonl": TAKEN, "two.jsonl": TAKEN},
        'two.jsonl:1: id "a" is taken by one.jsonl:1; ids must be unique',
    ),
    (
        "c.yaml",
        {"c.yaml": "- input: a\n  expected: no\n"},
        f'c.yaml:2: expected: {BARE}: write "no" for the text, or false',
    ),
    ("c.yaml", {"c.yaml": "input: a\n"}, "c.yaml:1: a .yaml file is a list of rows"),
    ("c.txt", {"c.txt": "a"}, f"s.ftgate.yaml:1: cases: c.txt: .txt suffix; {KINDS}"),
    ("data", {"data": "a"}, f"s.ftgate.yaml:1: cases: data: no suffix; {KINDS}"),
    ("c.jsonl", {"c.jsonl": ""}, "s.ftgate.yaml:1: cases: c.jsonl is empty"),
    ("c.jsonl", {"c.jsonl": "\n\n"}, "s.ftgate.yaml:1: cases: c.jsonl is empty"),
    (
        "c.jsonl",
        {"c.jsonl": '{"about": "nothing yet"}\n'},
        "s.ftgate.yaml:1: cases: c.jsonl holds no case",
    ),
    (
        "c.csv",
        {"c.csv": "id,input,expected\n"},
        "s.ftgate.yaml:1: cases: c.csv has a header and no row",
    ),
    (
        "c.jsonl",
        {"c.jsonl": '\n{"input": "a", "expected": "b", "format": {"json_schema": "t.json"}}'},
        "c.jsonl:2: json_schema: t.json does not exist (looked in ./)",
    ),
]


@every_row(("written", "files", "message"), UNUSABLE)
def test_a_file_that_cannot_be_used_is_one_error_at_its_line(tmp_path, written, files, message):
    assert errors(tmp_path, written, **files) == [message]


def test_a_file_that_is_not_utf8_says_from_which_line_on(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b'{"input": "a"}\n{"input": "caf\xe9"}')

    assert errors(tmp_path, "c.jsonl") == [
        "c.jsonl:2: cases: the file is not UTF-8 from here on: save it as UTF-8"
    ]


def test_hundreds_of_errors_that_are_alike_are_shown_three_times_and_counted(tmp_path):
    rows = [f'{{"input": "q{n}", "expected": {n}}}' for n in range(500)]
    text = "\n".join([*rows, '{"input": "a", "expectd": "b"}', '{"input": "a", "epxected": "b"}'])

    found = errors(tmp_path, "c.jsonl", c__jsonl=text)

    assert [error.split(":")[1] for error in found] == ["1", "2", "3", "501", "502"]
    assert found[2] == (
        "c.jsonl:3: expected is the number 2, but exact reads text: "
        'write "2" (and 497 more lines like it)'
    )


# What is wrong in a case ---------------------------------------------------------------------

CHOICE = "reply: {format: {choice: [refund, billing]}}"
CASE_ERRORS = [
    ("{expected: b}", "", 'a case needs "input" or "messages"'),
    ("{input: 5, expected: b}", "", 'in a case: input is 5, but text is wanted here: write "5"'),
    (
        "{input: 1.50, expected: b}",
        "",
        'in a case: input is 1.5, but text is wanted here: write "1.50"',
    ),
    ("{input: a, expected: 5}", "", 'expected is the number 5, but exact reads text: write "5"'),
    (
        "{input: a, expected: true}",
        "",
        'in a case: expected is true, but an answer is text or a number: write "true"',
    ),
    (
        "{input: a, expected: refnd}",
        CHOICE,
        'expected "refnd" is not one of the labels of format: choice; did you mean "refund"?',
    ),
    (
        "{input: a, expected: zzz}",
        CHOICE,
        'expected "zzz" is not one of the labels of format: choice; labels: refund, billing',
    ),
    (
        "{input: a, expected: twelve}",
        "reply: {score: numeric}",
        'expected "twelve" is not a number, but score is numeric',
    ),
    (
        "{input: a, expected: []}",
        "",
        "expected is an empty list; name an answer, or leave the key out",
    ),
    ("{input: a, expected: b, tags: x}", "", 'in a case: tags must be a list, not "x"'),
    (
        "{input: a, expected: b, difficulty: 9}",
        "",
        "in a case: difficulty is 9, but must be less than or equal to 5",
    ),
    (
        "{messages: [{role: bot, content: a}], expected: b}",
        "",
        "in a case: role is \"bot\", but must be one of 'system', 'user' or 'assistant'",
    ),
    (
        "{input: a, expected: b, score: exakt}",
        "",
        (
            'in a case: unknown score "exakt"; did you mean "exact"?; known: '
            "exact, choice, labels, margin, contains, regex, numeric, similarity, code, tool_call, "
            "recorded, fields, python, judge"
        ),
    ),
    (
        "{input: a, expected: b, expcted: c}",
        "",
        'in a case: unknown key "expcted"; did you mean "expected"?',
    ),
]


@every_row(("written", "more", "message"), CASE_ERRORS)
def test_a_case_that_cannot_be_used_says_what_to_write(tmp_path, written, more, message):
    assert errors(tmp_path, f"[{written}]", more) == [f"s.ftgate.yaml:1: {message}"]


@every_row("written", ['{score: regex, expected: "("}', '{format: {regex: "("}}'])
def test_a_pattern_in_a_case_that_does_not_compile_is_an_error_and_no_crash_later(
    tmp_path, written
):
    row = f"[{{input: a, {written[1:]}, {{input: b, expected: c}}]"
    (found,) = errors(tmp_path, row)

    assert "'(' is not a pattern: missing )" in found


def test_a_schema_that_a_case_names_lies_beside_the_file_of_the_case(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "t.json").write_text('{"type": "object"}')
    row = {"input": "a", "expected": "b", "format": {"json_schema": "t.json"}}
    (folder / "c.jsonl").write_text(json.dumps(row))

    (case,) = cases(tmp_path, "data/c.jsonl")

    assert case.format[0].value == {"type": "object"}


@every_row("expected", ["5", "[5, x]", "text"])
def test_what_a_python_scorer_expects_is_its_own_affair(tmp_path, expected):
    more = 'reply: {score: {python: "marks:close"}}'

    assert len(cases(tmp_path, f"[{{input: a, expected: {expected}}}]", more)) == 1


def test_a_case_has_its_own_score_and_format_where_it_names_them(tmp_path):
    own = "{input: a, expected: 5, score: numeric, format: {regex: a}, max_tokens: 7}"
    first, second = cases(tmp_path, f"[{own}, {{input: b, expected: refund}}]", CHOICE)

    assert (first.score.kind, first.format[0].kind, first.max_tokens) == ("numeric", "regex", 7)
    assert (second.score.kind, second.format[0].kind) == ("choice", "choice")


def test_the_digest_changes_with_the_input_and_with_its_scoring(tmp_path):
    written = [
        "{id: x, input: a, expected: b}",
        "{id: x, input: A, expected: b}",
        "{id: x, input: a, expected: B}",
        "{id: x, input: a, expected: b, vars: {t: z}}",
        "{id: x, input: a, expected: b, score: contains}",
        "{id: x, input: a, expected: b, format: {regex: a}}",
    ]
    found = {cases(tmp_path, f"[{one}]")[0].digest for one in written}

    assert len(found) == len(written)


def test_the_yardstick_does_not_change_with_the_name_or_the_place_of_a_case(tmp_path):
    (first,) = cases(tmp_path, "[{id: x, input: a, expected: b}]")
    _, second = cases(
        tmp_path, "\n- {input: c, expected: d}\n- {id: y, input: a, expected: b, tags: [t]}"
    )

    assert first.digest == second.digest


def test_cases_that_ask_the_same_are_related_and_others_are_not(tmp_path):
    rows = [("a", "x"), ("b", "y"), ("c", "x")]
    text = "".join(f'{{"id": "{key}", "input": "{said}", "expected": "r"}}\n' for key, said in rows)

    found = cases(tmp_path, "c.jsonl", c__jsonl=text)

    assert [case.group for case in found] == ["same as a", None, "same as a"]


def test_cases_with_the_same_input_are_named_once(tmp_path):
    rows = ["{id: a, input: x, expected: r}", "{id: b, input: y, expected: r}"]
    rows += ["{id: c, input: x, expected: r}", "{id: d, input: x, expected: r}"]

    found = cases(tmp_path, f"[{', '.join(rows)}]")

    assert equal_inputs(found) == "a, c and d have the same input and count as one"
    assert equal_inputs(found[:2]) == ""


def test_json_in_a_column_of_another_name_is_a_mapping_where_fields_are_scored(tmp_path):
    (tmp_path / "c.csv").write_text('email,gold\nhello,"{""total"": 12}"\n')
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(
        "cases: c.csv\ncolumns: {input: email, expected: gold}\nreply: {score: fields}\n"
        "variants: {current: {provider: anthropic, model: m}}\ngates: {accuracy: {min: 0.5}}\n"
    )

    (case,) = load_suite(path, tmp_path).cases

    assert case.expected == {"total": 12}
