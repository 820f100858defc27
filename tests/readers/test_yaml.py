"""YAML's traps: each is a error with its line, and what looks harmless is read as it looks."""

from __future__ import annotations

from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row

from pytest_ftgate.readers.yaml import load_yaml, read_yaml

TRAPS = [
    ("no", 'YAML reads the bare word no as false: write "no" for the text, or false'),
    ("on", 'YAML reads the bare word on as true: write "on" for the text, or true'),
    ("012", 'YAML reads 012 as the number 10: write "012" or the plain number'),
    ("0x1F", 'YAML reads 0x1F as the number 31: write "0x1F" or the plain number'),
    ("1_000", 'YAML reads 1_000 as the number 1000: write "1_000" or the plain number'),
    ("1:30", 'YAML reads 1:30 as the number 90: write "1:30" or the plain number'),
    ("2026-01-05", 'YAML reads 2026-01-05 as a date: write "2026-01-05"'),
    ("=", "'=' cannot be read; quote it"),
    ("!secret x", "'x' cannot be read; quote it"),
]

PLAIN = [
    ('"no"', "no"),
    ("true", True),
    ("-0.05", -0.05),
    ("0.05", 0.05),
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


ALIASES = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
NOT_YAML = "not YAML: ..."
#: A file, and each of its errors with its line.
BROKEN = [
    *((f"fine: a\n{key}: b\n",
      [f'2: the key {key} is not text to YAML; write "{key}"']) for key in ("no", "on", "1",
      "1_000", "2026-01-05", "null", "<<")),
    ("? [a, b]\n: c\n", ["1: a key must be plain text"]),
    ("min: 1\nother: 2\nmin: 3\n", ['3: key "min" appears here twice (first in line 1); keep one']),
    # Every trap of a file is found in one reading.
    ("a: no\nb: [012, fine]\nc: {on: 1:30}\na: again\n", [f"{n}: ..." for n in (1, 2, 3, 3, 4)]),
    # A file that does not parse is one error.
    ("a: [1, 2\nb: 3\n", [f"2: {NOT_YAML}"]),
    ("a: b\n\tc: d\n", [f"2: {NOT_YAML}"]),
    ('a: "b\n', [f"2: {NOT_YAML}"]),
    ("a: 1\n---\nb: 2\n", [f"2: {NOT_YAML}"]),
    ("a: \x00\n", ["...not YAML: ..."]),
    ("a:\n  b: 1\n c: 2\n", [f'3: {NOT_YAML}; check the indentation of "c: 2", and...']),
    *((text, [" the file is empty"]) for text in ("", "\n", "# only a comment\n")),
    *((text, ["...an anchor contains itself; write the values out"]) for text in ("a: &x [*x]\n",
      "a: &x {b: *x}\n", "a: &x {b: [c, *x]}\n")),
    # Aliases that stand for billions of values are an error at once.
    ("\n".join(["a0: &a0 [x, x]", *ALIASES]),
     ["...: its aliases repeat more than 100,000 values; write out what is needed"]),
    # A value that cannot be read is shown in part.
    (f"a: {'1' * 5_000}", [f"1: a: '{'1' * 60}'… cannot be read; quote it"]),
]  # fmt: skip


@every_row(("text", "told"), BROKEN)
def test_each_mistake_of_a_file_is_told_once_with_its_line(text, told):
    assert [one.removeprefix("s.yaml:") for one in messages(text)] == [*map(Like, told)]


@every_row("text, value", [
    # A quoted key is text whatever it says, and the same key in two mappings is no duplicate.
    ('"no": a\n', {"no": "a"}),
    ("a: {min: 1}\nb: {min: 2}\n", {"a": {"min": 1}, "b": {"min": 2}}),
    # An alias is read as what it stands for.
    ("a: &a [1, 2]\nb: *a\nc: {d: *a}", {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}),
])  # fmt: skip
def test_keys_and_aliases_are_read_as_they_look(text, value):
    document = read_yaml(text, "s.yaml")

    assert (document.errors, document.value) == ((), value)


def test_a_value_knows_its_line_and_the_text_as_written_and_a_missing_one_that_around_it():
    document = read_yaml("first: 1\na:\n  b:\n    - 1.50\n", "s.yaml")

    assert document.line(("a", "b", 0)) == 4
    assert document.raw["a", "b", 0] == "1.50"
    assert document.line(("a", "missing", "deeper")) == 2
    assert document.line(("missing",)) == 1


def test_yaml_1_2_reads_fewer_words_as_something_else_than_texts():
    text = "[yes, off, 1:30, 2024-01-02, 1_000, 010, 0o17, 0x1f, 1e3, .5, true, ~, null, 'x']"

    assert load_yaml(text, core=True) == [
        *("yes", "off", "1:30", "2024-01-02", "1_000"),
        *(10, 15, 31, 1000.0, 0.5, True, None, None, "x"),
    ]
    assert load_yaml(text)[:2] == [True, False]
