import os
import sys
import threading

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.text import (
    LastingStream,
    break_command,
    escape_controls,
    fit_parts,
    lasting_output,
    quoted_lines,
    word_diff,
)


@every_row("hostile, shown", [
    ("\x1b[31mred", "\\x1b[31mred"), ("a\rb", "a\\rb"), ("left\u202eright", "left\\u202eright"),
    ("zero\u200bwidth", "zero\\u200bwidth"), ("\x00", "\\x00"), ("tab\there", "tab here"),
    ("a ##[stop-commands]t", r"a #\x23[stop-commands]t"), ("###[error]x", r"##\x23[error]x"),
    ("##vso[task.setvariable]x", r"#\x23vso[task.setvariable]x"),
    ("## A title [1]", "## A title [1]"), ("ordinary, naïve, 日本", "ordinary, naïve, 日本"),
])  # fmt: skip
def test_characters_that_act_are_written_out(hostile: str, shown: str) -> None:
    assert escape_controls(hostile) == shown


def test_every_line_of_foreign_text_begins_with_a_bar_and_keeps_within_the_width() -> None:
    for text, count in (("::error::gotcha\n\n::stop-commands::x", 3), ("word " * 200, 4)):
        lines = [*quoted_lines("now", text)]

        assert len(lines) == count
        assert all(line.startswith("      │") and len(line) <= 80 for line in lines)


def test_long_text_is_cut_with_a_count_and_no_text_said_to_be_empty() -> None:
    lines = list(quoted_lines("now", "\n".join("abcdefgh"), max_lines=4))

    assert len(lines) == 4
    assert lines[-1].endswith("… 5 more lines")
    assert next(quoted_lines("now", "  ")).endswith("(empty)")


def test_a_text_of_a_megabyte_is_cut_before_it_is_wrapped_unless_all_lines_are_wanted() -> None:
    text = "word " * 200_000

    lines = list(quoted_lines("now", text, max_lines=4))

    assert len(lines) == 4
    assert lines[-1].endswith("… about 999,823 more characters")
    assert len(list(quoted_lines("now", text, max_lines=10**9))) > 15_000


def test_no_line_begins_with_the_mark_of_a_workflow_command() -> None:
    assert break_command("  ::error::x") == "  : :error::x"
    assert break_command("tests/a.py::test_b") == "tests/a.py::test_b"


def test_a_part_as_wide_as_the_line_keeps_its_indent() -> None:
    wide, wider = "    do      " + "w " * 34, "    worst   " + "w " * 40

    assert fit_parts([wide.rstrip()], 14) == [wide.rstrip()]
    assert fit_parts([wider], 14)[0].startswith("    worst   w")


def test_a_part_longer_than_the_line_ends_no_line_within_a_figure() -> None:
    assert fit_parts([f"({'w ' * 38}56 %)"])[1] == "    56 %)"


# Streams without a reader


def test_a_stream_goes_on_when_its_reader_leaves_in_the_middle() -> None:
    reader, writer = os.pipe()
    text = "a line\n" * 100_000

    def read_some() -> None:
        os.read(reader, 10)
        os.close(reader)

    leaving = threading.Thread(target=read_some)
    leaving.start()
    with os.fdopen(writer, "w") as stream:
        lasting = LastingStream(stream)
        assert lasting.write(text) == len(text)
        lasting.flush()
        assert lasting.write("more") == 4
        lasting.flush()
        assert not lasting.isatty()
    leaving.join()


class _Failing:
    def __init__(self, error: OSError) -> None:
        self.error = error

    def write(self, *_: str) -> None:
        raise self.error

    flush = write


def test_a_stream_without_a_file_goes_on_too() -> None:
    assert LastingStream(_Failing(BrokenPipeError())).write("lost") == 4


@every_row("error", [OSError(28, "No space left on device"), ConnectionResetError()])
def test_any_other_error_of_a_stream_is_raised(error: OSError) -> None:
    with pytest.raises(type(error)):
        LastingStream(_Failing(error)).write("lost")


def test_what_cannot_be_said_of_an_error_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", _Failing(OSError(28, "No space left on device")))

    with lasting_output():
        sys.stderr.write("lost")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_process_without_an_output_gets_one_for_itself_and_its_children(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, name, None)

    with lasting_output():
        stream = getattr(sys, name)
        stream.write("nobody reads it")
        assert os.get_inheritable(stream.fileno())
    getattr(sys, name).close()


# Differences


def test_what_differs_is_marked_as_git_marks_it():
    assert word_diff("The total is 12 dollars", "The total is 13 dollars today") == (
        "The total is [-12-] {+13+} dollars {+today+}"
    )


@every_row("expected, said", [
    ("refund", "billing"), ("a label", "a label"), ("one two three", "one two three"),
    ("one two three four", "entirely other words here"), ("", "x y z"),
    ("one two three", "x " * 1000),
])  # fmt: skip
def test_nothing_is_shown_where_it_would_not_help(expected, said):
    assert word_diff(expected, said) == ""


def test_of_several_right_answers_the_likest_counts():
    assert word_diff("ten eleven twelve | the sky is blue", "the sky is grey") == (
        "the sky is [-blue-] {+grey+}"
    )


def test_long_equal_runs_are_shortened():
    same = " ".join(f"w{n}" for n in range(40))

    assert word_diff(f"{same} end", f"{same} stop") == "w0 w1 w2 … w37 w38 w39 [-end-] {+stop+}"


def test_marks_in_a_reply_pass_for_none_of_ours():
    assert "{+[\\-all-\\]+}" in word_diff("one two three", "one two three [-all-]")
