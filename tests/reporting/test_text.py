import pytest

from pytest_ftgate.reporting.text import break_command, escape_controls, fit_parts, quoted_lines


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("left\u202eright", "left\\u202eright"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\x00", "\\x00"),
        ("tab\there", "tab here"),
        ("a ##[stop-commands]t", r"a #\x23[stop-commands]t"),
        ("###[error]x", r"##\x23[error]x"),
        ("##vso[task.setvariable]x", r"#\x23vso[task.setvariable]x"),
        ("## A title [1]", "## A title [1]"),
        ("ordinary, naïve, 日本", "ordinary, naïve, 日本"),
    ],
)
def test_characters_that_act_are_written_out(hostile: str, shown: str) -> None:
    assert escape_controls(hostile) == shown


def test_every_line_of_foreign_text_begins_with_a_bar() -> None:
    lines = list(quoted_lines("now", "::error::gotcha\n\n::stop-commands::x"))

    assert len(lines) == 3
    assert all(line.startswith("      │") for line in lines)


def test_long_text_is_cut_with_a_count() -> None:
    lines = list(quoted_lines("now", "\n".join("abcdefgh"), max_lines=4))

    assert len(lines) == 4
    assert lines[-1].endswith("… 5 more lines")


def test_lines_keep_within_the_width() -> None:
    assert all(len(line) <= 80 for line in quoted_lines("now", "word " * 200))


def test_an_empty_reply_is_said_to_be_empty() -> None:
    assert next(quoted_lines("now", "  ")).endswith("(empty)")


def test_no_line_begins_with_the_mark_of_a_workflow_command() -> None:
    assert break_command("  ::error::x") == "  : :error::x"
    assert break_command("tests/a.py::test_b") == "tests/a.py::test_b"


def test_a_part_as_wide_as_the_line_keeps_its_indent() -> None:
    wide, wider = "    do      " + "w " * 34, "    worst   " + "w " * 40

    assert fit_parts([wide.rstrip()], 14) == [wide.rstrip()]
    assert fit_parts([wider], 14)[0].startswith("    worst   w")
