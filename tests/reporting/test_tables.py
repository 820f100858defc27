"""Tables fit their width and break no name; reports name the files that decide."""

from __future__ import annotations

from ftgate_testing.reports import failing_run, report
from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.markdown import markdown_report, markdown_table
from pytest_ftgate.reporting.summary import MAX_LINES, summary_lines
from pytest_ftgate.reporting.tables import (
    TextTable,
    changes_line,
    comparison_line,
    error_groups,
    error_text,
    table_lines,
    verdict_table,
)
from pytest_ftgate.reporting.text import cell_count, terminal_width
from pytest_ftgate.results.run import FileChange, FileChanges, NotEvaluated

GONE = FileChange(name="z/s.accepted.json", change="deleted")
FAILED = failing_run().verdicts


HEADERS = ["variant", "rate", "gain", "taken for"]
LONG = "a-variant-with-a-rather-long-name-that-stays-whole"


def shown_table(name: str, columns: int, **cells: str) -> list[str]:
    """Return the lines of a table of two rows, the second with *name* and *cells*."""
    row = {"rate": "9 %", "gain": "+3 (−1 +7) inconclusive", "taken": "refund", **cells}
    rows = [["current", "100 %", "", ""], [name, *row.values()]]
    with terminal_width(columns):
        return table_lines(TextTable(HEADERS, rows, (1,)))


@every_row("columns", [60, 80, 120])
@every_row("name", ["short", LONG])
def test_a_table_fits_the_terminal_and_breaks_no_name_and_no_interval(columns, name):
    lines = shown_table(
        name, columns, taken="one two three four five six seven eight nine ten " * 2
    )

    assert max(map(cell_count, lines)) <= columns
    assert any(name in line.split() for line in lines)
    assert any("(−1 +7)" in line for line in lines)
    assert " ".join(lines).split().count("ten") == 2


def test_names_that_are_too_long_have_lines_of_their_own():
    lines = shown_table(LONG, 60)

    assert [line.strip() for line in lines[::2]] == ["variant", "current", LONG]
    assert [line.split()[0] for line in lines[1::2]] == ["rate", "100", "9"]


def test_numbers_end_in_the_same_column_below_wide_and_joined_characters():
    for name in ("退款", "👩\u200d🚀", "é"):
        ends = [cell_count(line[: line.index("%")]) for line in shown_table(name, 80)[1:]]

        assert len({*ends}) == 1, name


@every_row("cell", ["\x1b[31mred", "a\nb", "\x01", "a\u200bb", "##[group]x", "\u202e"])
def test_a_cell_cannot_act_or_break_its_row(cell):
    lines = shown_table("new", 80, taken=cell)

    assert len(lines) == 3
    assert not {"\x1b", "\n", "\x01", "\u200b", "\u202e"} & {*"".join(lines)}
    assert not any("##[" in line for line in lines)


@every_row("cell", ["007", "False", "1e5", "nan", " 1.50"])
def test_a_cell_shows_what_it_holds(cell):
    table = TextTable(HEADERS[:2], [["new", cell]], (1,))

    assert table_lines(table)[1].split() == ["new", cell.strip()]
    assert f"{cell} |" in markdown_table(table)


def test_a_table_in_markdown_aligns_numbers_right_and_has_no_foreign_cells():
    text = markdown_table(
        TextTable(["variant", "rate"], [["a | b", "9 %"], ["`x`", "100 %"]], (1,))
    )

    heads, rule, *rows = text.split("\n")
    assert [part.strip("-") for part in rule.strip("|").split("|")] == [":", ":"]
    assert rule.endswith("-:|")
    assert all(row.count("|") == 3 for row in (heads, *rows))
    assert not any("`" in row for row in rows)


def changed(*names: str, **more: str) -> FileChanges:
    files = (FileChange(name=name, change="changed") for name in names)
    return FileChanges(branch="main", commit="1a2b", files=(*files, GONE), **more)


def test_the_record_that_is_gone_comes_first():
    assert changes_line(changed("a.md", "b.md")) == (
        "changed since main: z/s.accepted.json (deleted), a.md, b.md"
    )


def test_a_line_names_so_many_and_counts_the_rest():
    many = changed(*(f"{number}.md" for number in range(2_000)))

    assert changes_line(many, 2) == (
        "changed since main: z/s.accepted.json (deleted), 0.md and 1,999 more"
    )
    assert changes_line(many).endswith(" and 1,991 more")
    assert comparison_line(many).endswith(", 1999.md")


def test_where_nothing_differs_or_git_cannot_tell_no_line_is_shown_but_in_details():
    same, unknown = FileChanges(branch="main"), FileChanges(unknown="the clone is shallow")

    assert [changes_line(one) for one in (same, unknown, FileChanges())] == ["", "", ""]
    assert [comparison_line(one) for one in (same, unknown, FileChanges())] == [
        "changed since main: none of the files that decide",
        "not compared with a base branch: the clone is shallow",
        "",
    ]


@every_row("verbosity", [-1, 0])
@every_row("names", [("p.md",), ("x" * 200,), [f"{n}.md" for n in range(99)]])
def test_the_closing_section_spends_one_line_and_keeps_to_its_own(names, verbosity):
    record = report(*FAILED, file_changes=changed(*names))

    lines = summary_lines(record, verbosity)

    about = [line for line in lines if line.startswith("changed since main: z/s.accepted")]
    assert len(about) == 1
    assert cell_count(about[0]) <= 80
    assert len(lines) <= MAX_LINES


def test_long_names_do_not_push_the_verdicts_out_of_a_comment():
    record = report(*FAILED, file_changes=changed(*(f"{n}{'@' * 4_000}" for n in range(99))))

    comment = markdown_report(record, 60_000)

    assert "\nchanged since main: " in comment
    assert "left out for their length" not in comment


# Errors ---------------------------------------------------------------------------------------


def test_gates_with_one_error_are_one_group_with_the_words_of_the_first():
    first = NotEvaluated(node="s::accuracy[new]", reason="no key\nset KEY", variant="new")
    same = NotEvaluated(
        node="s::accuracy[old]", reason=first.reason, variant="old", same_as=first.node
    )
    other = NotEvaluated(node="test_it.py", reason="no module")

    groups = error_groups(report(not_evaluated=(first, same, other)))

    assert groups == [
        ("s::accuracy[new], s::accuracy[old]", "not evaluated", "new: no key\n│ set KEY"),
        ("test_it.py", "not evaluated", "no module"),
    ]
    assert error_text(same, once=True) == "old: the same error as s::accuracy[new]"


def test_a_short_cell_gives_the_limit_of_a_drop_as_the_headline_does():
    cells = [verdict_table(FAILED, short=short).rows[0][-1] for short in (False, True)]

    assert cells == ["limit 10", "10"]
