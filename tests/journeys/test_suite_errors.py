"""The errors in a suite are listed once, with what to mend first."""

from __future__ import annotations

import pytest

#: Ten cases can show none of these three limits.
GATES = "{accuracy: {min: 0.85, max_drop: 0.05}, format: {min: 0.9}}"
FIRST = "accuracy: max_drop: 0.05 cannot be proven with 10 cases"
MODULE = """\
import pytest

@pytest.mark.ftgate("tickets.ftgate.yaml", max_dorp=0.05)
def test_it(case, reply):
    assert reply.text == case.expected

@pytest.mark.ftgate("nowhere.ftgate.yaml")
def test_that(case, reply):
    assert reply.text == case.expected
"""


@pytest.fixture
def few(desk, monkeypatch):
    """A desk whose suite has three errors in its fifth line."""
    monkeypatch.setenv("COLUMNS", "80")
    desk.cases = 10
    desk.suite(GATES, current=0)
    return desk


def test_the_closing_section_names_the_first_error_and_reports_list_every_one(few):
    result = few.run(
        "tickets.ftgate.yaml", "--ftgate-markdown=comment.md", "--ftgate-html=page.html"
    )

    assert result.ret != 0
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting tickets.ftgate.yaml*",
            "BLOCKED  no gate of tickets.ftgate.yaml could be read",
            "",
            "✗ tickets.ftgate.yaml   3 ERRORS, listed above",
            f"    first: line 5: {FIRST};*",
            "    fix     tickets.ftgate.yaml:5",
            "    then    pytest --ftgate tickets.ftgate.yaml",
        ]
    )
    result.stdout.no_fnmatch_line("*see the errors above*")
    text = result.stdout.str()
    closing = text.partition("= ftgate =")[2]
    assert "…" not in closing
    assert text.count("min: 0.85 cannot be proven") == 1
    assert all(len(line) <= 80 for line in closing.splitlines())

    comment = few.path("comment.md").read_text("utf-8")
    assert comment.startswith("### 🔴 BLOCKED: no gate of tickets.ftgate.yaml could be read\n")
    assert comment.count("cannot be proven") == comment.count("([reference](https://") == 3
    assert "<details>" not in comment

    head, rest = few.path("page.html").read_text("utf-8").split('<section id="verdicts"')
    assert f'<p class="sentence">line 5: {FIRST}' in head
    assert '<p class="muted small">tickets.ftgate.yaml · ' in head
    card = rest.partition("</section>")[0]
    assert card.count("<li>") == card.count("/#gates-") // 2 == 3

    told = "✗ tickets.ftgate.yaml: 3 errors, listed above; first: line 5:"
    assert told in few.run("-q").stdout.str().partition("= ftgate =")[2]


def test_gates_of_other_suites_are_counted_beside_it(few):
    text = few.path("tickets.ftgate.yaml").read_text("utf-8")
    few.path("other.ftgate.yaml").write_text(text.replace(GATES, "{accuracy: {min: 0.5}}"), "utf-8")

    result = few.run("--continue-on-collection-errors")

    result.stdout.fnmatch_lines(
        ["BLOCKED  1 gate passed; no gate of tickets.ftgate.yaml could be read*", "*✓ 1 passed*"]
    )


def test_errors_in_the_marks_of_a_module_are_shown_alike(few):
    few.path("test_it.py").write_text(MODULE, "utf-8")

    result = few.run("test_it.py")

    result.stdout.fnmatch_lines(
        ["BLOCKED  no gate of test_it.py could be read", "    fix     test_it.py:3"]
    )


def test_github_gets_an_annotation_at_the_line_of_each_error(few, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(few.pytester.path))

    lines = few.run().outlines

    found = [line for line in lines if line.startswith("::error file=tickets.ftgate.yaml,line=5,")]
    assert len(found) == 3
