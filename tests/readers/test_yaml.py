"""YAML's traps: each is a error with its line, and what looks harmless is read as it looks."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.readers.yaml import read_yaml

TRAPS = [
    ("no", 'YAML reads the bare word no as false: write "no" for the text, or false'),
    ("yes", 'YAML reads the bare word yes as true: write "yes" for the text, or true'),
    ("on", 'YAML reads the bare word on as true: write "on" for the text, or true'),
    ("Off", 'YAML reads the bare word Off as false: write "Off" for the text, or false'),
    ("012", 'YAML reads 012 as the number 10: write "012" or the plain number'),
    ("0x1F", 'YAML reads 0x1F as the number 31: write "0x1F" or the plain number'),
    ("1_000", 'YAML reads 1_000 as the number 1000: write "1_000" or the plain number'),
    ("0_1.5", 'YAML reads 0_1.5 as the number 1.5: write "0_1.5" or the plain number'),
    ("1:30", 'YAML reads 1:30 as the number 90: write "1:30" or the plain number'),
    ("2026-01-05", 'YAML reads 2026-01-05 as a date: write "2026-01-05"'),
    (
        "2026-01-05 10:00:00",
        'YAML reads 2026-01-05 10:00:00 as a date: write "2026-01-05 10:00:00"',
    ),
    ("=", "'=' cannot be read; quote it"),
    ("!secret x", "'x' cannot be read; quote it"),
]

PLAIN = [
    ('"no"', "no"),
    ("'012'", "012"),
    ("true", True),
    ("False", False),
    ("0", 0),
    ("-0.05", -0.05),
    ("0.05", 0.05),
    ("12", 12),
    ("1.50", 1.5),
    ("y", "y"),
    ("1:30 pm", "1:30 pm"),
    ("~", None),
    ("", None),
]


def messages(text):
    return [str(error) for error in read_yaml(text, "s.yaml").errors]


@every_row(("written", "message"), TRAPS)
def test_a_value_or_a_list_item_that_yaml_misreads_is_refused_with_its_line(written, message):
    assert messages(f"# a comment\nlabel: {written}\n") == [f"s.yaml:2: label: {message}"]
    assert messages(f"labels:\n  - fine\n  - {written}\n") == [f"s.yaml:3: {message}"]


@every_row(("written", "value"), PLAIN)
def test_a_value_that_is_what_it_looks_like_is_read(written, value):
    document = read_yaml(f"label: {written}\n", "s.yaml")

    assert (document.errors, document.value) == ((), {"label": value})


@every_row("key", ["no", "on", "1", "1_000", "2026-01-05", "null", "<<"])
def test_a_bare_key_that_is_not_text_to_yaml_is_refused_with_its_line(key):
    assert messages(f"fine: a\n{key}: b\n") == [
        f's.yaml:2: the key {key} is not text to YAML; write "{key}"'
    ]


def test_a_quoted_key_is_text_whatever_it_says():
    assert read_yaml('"no": a\n', "s.yaml").value == {"no": "a"}


def test_a_key_that_is_a_list_is_refused():
    assert messages("? [a, b]\n: c\n") == ["s.yaml:1: a key must be plain text"]


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    document = read_yaml("min: 1\nother: 2\nmin: 3\n", "s.yaml")

    assert [str(error) for error in document.errors] == [
        's.yaml:3: key "min" appears here twice (first in line 1); keep one'
    ]
    assert document.value["min"] == 1


def test_the_same_key_in_two_mappings_is_no_duplicate():
    assert messages("a: {min: 1}\nb: {min: 2}\n") == []


def test_every_trap_of_a_file_is_found_in_one_reading():
    errors = read_yaml("a: no\nb: [012, fine]\nc: {on: 1:30}\na: again\n", "s.yaml").errors

    assert [error.line for error in errors] == [1, 2, 3, 3, 4]


@every_row(
    ("text", "line"),
    [("a: [1, 2\nb: 3\n", 2), ("a: b\n\tc: d\n", 2), ('a: "b\n', 2), ("a: 1\n---\nb: 2\n", 2)],
)
def test_a_file_that_does_not_parse_is_one_error_with_a_line(text, line):
    (error,) = read_yaml(text, "s.yaml").errors

    assert error.line == line
    assert error.message.startswith("not YAML: ")


def test_a_line_that_does_not_fit_is_quoted_with_the_usual_cause():
    (error,) = read_yaml("a:\n  b: 1\n c: 2\n", "s.yaml").errors

    assert error.line == 3
    assert '; check the indentation of "c: 2", and' in error.message


def test_a_file_with_a_control_character_is_an_error_and_no_crash():
    (error,) = read_yaml("a: \x00\n", "s.yaml").errors

    assert error.message.startswith("not YAML: ")


@every_row("text", ["", "\n", "# only a comment\n"])
def test_an_empty_file_says_so(text):
    assert messages(text) == ["s.yaml: the file is empty"]


def test_an_anchor_is_read_where_it_is_used():
    document = read_yaml("a: &x {min: 1}\nb: *x\n", "s.yaml")

    assert (document.errors, document.value["b"]) == ((), {"min": 1})


@every_row("text", ["a: &x [*x]\n", "a: &x {b: *x}\n", "a: &x {b: [c, *x]}\n"])
def test_an_anchor_that_holds_itself_is_refused(text):
    (error,) = read_yaml(text, "s.yaml").errors

    assert error.message.endswith("an anchor contains itself; write the values out")


def test_a_value_knows_its_line_and_the_text_as_written():
    document = read_yaml("a:\n  b:\n    - 1.50\n", "s.yaml")

    assert document.line(("a", "b", 0)) == 3
    assert document.raw["a", "b", 0] == "1.50"


def test_a_place_that_is_not_there_has_the_line_of_what_is_around_it():
    document = read_yaml("first: 1\na:\n  b: 2\n", "s.yaml")

    assert document.line(("a", "missing", "deeper")) == 2
    assert document.line(("missing",)) == 1


def test_aliases_that_stand_for_billions_of_values_are_an_error_at_once():
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    document = read_yaml("\n".join(["a0: &a0 [x, x]", *levels]), "s.yaml")

    assert document.value is None
    (error,) = document.errors
    assert error.message == (
        "its aliases repeat more than 100,000 values; write out what is needed"
    )


def test_aliases_are_read_as_what_they_stand_for():
    assert read_yaml("a: &a [1, 2]\nb: *a\nc: {d: *a}", "s.yaml").value == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": [1, 2]},
    }


def test_a_value_that_cannot_be_read_is_shown_in_part():
    (error,) = read_yaml(f"a: {'1' * 5_000}", "s.yaml").errors

    assert error.message == f"a: '{'1' * 60}'… cannot be read; quote it"
