"""Cases from files, globs and in place: read whole, and refused by line."""

from __future__ import annotations

import json

from ftgate_testing.suite_files import errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.suite.cases import equal_inputs

ONE = "one: {provider: anthropic, model: m}"


def cases(folder, written, more="", **files):
    """Load the cases that stand in line 1 of a suite; ``__`` in the name of a file is its dot."""
    named = {name.replace("__", "."): text for name, text in files.items()}
    return load_variants(folder, ONE, cases=written, more=more, files=named).cases


def errors(folder, written, more="", **files):
    return errors_of(cases, folder, written, more, **files)


# What is read --------------------------------------------------------------------------------

SAME = {
    "c.jsonl": '{"id": "1", "input": "a", "expected": "b", "tags": ["x", "y"], "vars": {"t": "z"}}',
    "c.json": '[{"id": "1", "input": "a", "expected": "b", "tags": ["x", "y"],"vars": {"t": "z"}}]',
    "c.csv": 'id,input,expected,tags,vars.t\n1,a,b,"x, y",z\n',
    # As Windows and Excel write it.
    "excel.csv": '\ufeffid,input,tags,vars.t,expected\r\n1,a,"x, y",z,b\r\n',
    "spaces.csv": 'id, input,expected ,tags,vars.t\n1,a,b,"x, y",z\n',
    # A whole number is read as text where it is an id.
    "number.jsonl": '{"id": 1, "input": "a", "expected": "b", "tags": ["x", "y"],'
    '"vars": {"t": "z"}}',
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


def test_a_line_separator_inside_a_text_does_not_end_the_row(tmp_path):
    row = json.dumps({"input": "a\u2028b", "expected": "c"}, ensure_ascii=False)

    assert cases(tmp_path, "c.jsonl", c__jsonl=row)[0].input == "a\u2028b"


def test_columns_of_a_table_are_read_as_what_they_stand_for(tmp_path):
    text = "id,input,expected,weight,must_pass,max_tokens,difficulty\na,x,refund,2.5,true,7,3\n"

    (case,) = cases(tmp_path, "c.csv", c__csv=text)

    assert (case.weight, case.must_pass, case.max_tokens, case.difficulty) == (2.5, True, 7, 3)


NAMED = "columns: {input: email, expected: gold}\n"
FIELDS = "reply: {score: fields}\n"


def test_columns_have_the_names_that_the_suite_gives_them(tmp_path):
    (case,) = cases(tmp_path, "c.csv", NAMED, c__csv="email,gold\nhello,there\n")

    assert (case.input, case.expected) == ("hello", "there")


@every_row(("columns", "more"), [("input,expected", FIELDS), ("email,gold", NAMED + FIELDS)])
def test_json_in_a_cell_is_a_mapping_where_fields_are_scored(tmp_path, columns, more):
    (case,) = cases(tmp_path, "c.csv", more, c__csv=f'{columns}\nhello,"{{""total"": 12}}"\n')

    assert case.expected == {"total": 12}


@every_row("expected", [", expected: 5", ", expected: [5, x]", ", expected: text", ""])
def test_what_a_python_scorer_expects_is_its_own_affair(tmp_path, expected):
    more = 'reply: {score: {python: "marks:close"}}'

    assert len(cases(tmp_path, f"[{{input: a{expected}}}]", more)) == 1


CHOICE = "reply: {format: {choice: [refund, billing]}}"


def test_a_case_has_its_own_score_and_format_where_it_names_them(tmp_path):
    own = "{input: a, expected: 5, score: numeric, format: {regex: a}, max_tokens: 7}"
    first, second = cases(tmp_path, f"[{own}, {{input: b, expected: refund}}]", CHOICE)

    assert (first.score.kind, first.format[0].kind, first.max_tokens) == ("numeric", "regex", 7)
    assert (second.score.kind, second.format[0].kind) == ("choice", "choice")


def test_files_that_a_case_names_lie_beside_the_file_of_the_case(tmp_path):
    form = {"input": "a", "expected": "b", "format": {"json_schema": "t.json"}}
    code = {"input": "c", "score": {"code": {"tests": "tests.py"}}}
    files = {
        "data/t.json": '{"type": "object"}',
        "data/tests.py": "assert f(1)",
        "data/c.jsonl": f"{json.dumps(form)}\n{json.dumps(code)}\n",
    }

    first, second = cases(tmp_path, "data/c.jsonl", **files)

    assert first.format[0].value == {"type": "object"}
    assert (second.score.value, second.is_scorable) == ("assert f(1)", True)


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
    # The name, the place and the tags of a case are no part of it.
    _, same = cases(
        tmp_path, "[{input: c, expected: d}, {id: y, input: a, expected: b, tags: [t]}]"
    )

    assert len(found) == len(written)
    assert same.digest in found


def test_cases_that_ask_the_same_are_related_and_named_once(tmp_path):
    rows = [
        f"{{id: {name}, input: {text}, expected: r}}" for name, text in ("ax", "by", "cx", "dx")
    ]

    found = cases(tmp_path, f"[{', '.join(rows)}]")

    assert [case.group for case in found] == ["same as a", None, "same as a", "same as a"]
    assert equal_inputs(found) == "a, c and d have the same input and count as one"
    assert equal_inputs(found[:2]) == ""


# What is wrong in a file ---------------------------------------------------------------------

GOOD = '{"input": "a", "expected": "b"}'
TAKEN = '{"id": "a", "input": "q", "expected": "x"}'
KINDS = "use .jsonl, .json, .csv, .tsv, .parquet or .yaml"


@every_row(
    ("name", "files", "told"),
    [
        ('"*.jsonl"', {}, "no file matches *.jsonl"),
        ("c.txt", {"c.txt": "a"}, f"c.txt: .txt suffix; {KINDS}"),
        ("data", {"data": "a"}, f"data: no suffix; {KINDS}"),
        ("c.jsonl", {"c.jsonl": ""}, "c.jsonl is empty"),
        ("c.jsonl", {"c.jsonl": '{"about": "nothing yet"}\n'}, "c.jsonl holds no case"),
        ("c.csv", {"c.csv": "id,input,expected\n"}, "c.csv has a header and no row"),
    ],
)
def test_files_without_a_case_are_one_error_of_the_suite(tmp_path, name, files, told):
    assert errors(tmp_path, name, **files) == [f"1: cases: {told}"]


HAVE = "a case has input and expected: rename them, or write columns"
NO = 'expected: YAML reads the bare word no as false: write "no" for the text, or false'
LIST = "the file holds a list, as .json files do; name the file .json, or write one object in each"
LINES = "write [{…}, {…}], or name the file .jsonl if each line is an object"
SCHEMA = '{"input": "a", "expected": "b", "format": {"json_schema": "t.json"}}'
#: A file of cases, and what is told of it.
UNUSABLE = [
    ("c.csv", "input,expected\na,b,c\n",
     "2: more cells than the header has columns: quote the text that holds the delimiter"),
    # It does not swallow the cases after it.
    ("c.csv", 'input,expected\na,b\n"c,d\ne,f\n',
     '3: not CSV: a quote opens here and is not closed; close it with "'),
    *(
        ("c.csv", f"{names}\na,b\nc,d\n", f"1: the columns are {names}; {HAVE}: {to} in the suite")
        for names, to in (
            ("text, label", "{input: text, expected: label}"),
            ("question, answer", "{input: question, expected: answer}"),
            ("input, label", "{expected: label}"),
        )
    ),
    ("c.jsonl", f"{GOOD},\n{TAKEN}\n", "1: not JSON: a comma follows the object; remove it"),
    ("c.jsonl", f"[\n {GOOD}\n]\n", f"1: {LIST} line"),
    ("c.json", f"{GOOD}\n{GOOD}\n", f"1: a .json file is a list of rows: {LINES}"),
    ("c.yaml", "- input: a\n  expected: no\n", f"2: {NO}"),
    ("c.yaml", "input: a\n", "1: a .yaml file is a list of rows"),
    ("c.jsonl", f"\n{SCHEMA}", "2: json_schema: t.json does not exist (looked in ./)"),
]  # fmt: skip


@every_row(("name", "content", "told"), UNUSABLE)
def test_a_file_that_cannot_be_used_is_one_error_at_its_line(tmp_path, name, content, told):
    assert errors(tmp_path, name, **{name: content}) == [f"{name}:{told}"]


def test_an_id_is_unique_in_all_files(tmp_path):
    assert errors(tmp_path, '"*.jsonl"', one__jsonl=TAKEN, two__jsonl=TAKEN) == [
        'two.jsonl:1: id "a" is taken by one.jsonl:1; ids must be unique'
    ]


def test_every_broken_line_is_named_by_its_number_and_the_others_are_read_on(tmp_path):
    text = f'{GOOD}\n{{"input": "c"\nnonsense\n{{"inptu": "d"}}\n[1]\n'

    assert [error.partition(" (")[0] for error in errors(tmp_path, "c.jsonl", c__jsonl=text)] == [
        "c.jsonl:2: not JSON: Expecting ',' delimiter: line 1 column 14",
        "c.jsonl:3: not JSON: Expecting value: line 1 column 1",
        'c.jsonl:4: in a case: unknown key "inptu"; did you mean "input"?',
        "c.jsonl:5: in a case: it must be a mapping of keys to values, not a list",
    ]


@every_row(("name", "text"), [("c.jsonl", "{'input': 'c'}"), ("c.json", "[{'input': 'c'}]")])
def test_a_row_that_is_not_json_is_told_what_to_write(tmp_path, name, text):
    (told,) = errors(tmp_path, name, **{name: text})

    assert told.startswith(f"{name}:1: not JSON: Expecting property name")
    assert told.endswith("; write a whole object, with keys and texts in double quotes")


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

NO_LABEL = "is not one of the labels of format: choice"
CASE_ERRORS = [
    ("{expected: b}", "", 'a case needs "input" or "messages"'),
    ("{input: 1.50, expected: b}", "",
     'in a case: input is 1.5, but text is wanted here: write "1.50"'),
    ("{input: a, expected: refnd}", CHOICE, f'expected "refnd" {NO_LABEL}; did you mean "refund"?'),
    ("{input: a, expected: zzz}", CHOICE, f'expected "zzz" {NO_LABEL}; labels: refund, billing'),
    ("{messages: [{role: bot, content: a}], expected: b}", "",
     "in a case: role is \"bot\", but must be one of 'system', 'user' or 'assistant'"),
]  # fmt: skip


@every_row(("written", "more", "message"), CASE_ERRORS)
def test_a_case_that_cannot_be_used_says_what_to_write(tmp_path, written, more, message):
    assert errors(tmp_path, f"[{written}]", more) == [f"1: {message}"]


def test_json_in_a_cell_that_is_broken_is_an_error(tmp_path):
    assert errors(tmp_path, "c.csv", FIELDS, c__csv='input,expected\na,"{total: 1}"\n') == [
        "c.csv:2: expected is text that is no JSON, but score is fields; check its quotes"
    ]
