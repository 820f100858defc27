"""Checks of the answers in training data: formats, labels, thoughts, facts."""

from __future__ import annotations

import random

from ftgate_testing.tables import every_row
from ftgate_testing.training_rows import found, rows_of

from pytest_ftgate.gates.notes import FindingKind, Remedy, note
from pytest_ftgate.gates.training_data_checks import answer_findings, doubtful_label_findings
from pytest_ftgate.gates.verdict import Finding, Severity
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

CHOICE = Rule("choice", ["yes", "no", "later"])


# --- answers -------------------------------------------------------------------------------------


def test_questions_with_different_answers_are_an_error_that_shows_the_first_two_lines():
    rows = rows_of(
        ("alone", "yes"), ("b", "yes"), ("a", "yes"), ("A!", "no"), ("B", "no"), ("a", "yes"),
        ("same", "yes"), ("same", "yes"), "a",
    )  # fmt: skip

    assert found(answer_findings, rows, "conflict") == [
        Finding(
            kind="conflict", severity=Severity.ERROR, count=5, lines=(2, 3, 4, 5, 6),
            message=note(FindingKind.CONFLICT, questions=2, line=2, other=5),
            next=note(Remedy.CHOOSE),
        )
    ]  # fmt: skip

    (finding,) = found(answer_findings, rows_of(("a", "x"), ("a", "y"), ("a", "z")), "conflict")

    assert finding.message == note(FindingKind.CONFLICT, questions=1, line=1, other=2)


def test_answers_that_break_the_format_are_an_error_with_the_three_commonest_kinds():
    rows = rows_of(
        ("a", "yes"), ("b", "Yes"), ("c", "YES"), ("d", "`no`"), ("e", "The answer is: no"),
        ("f", "perhaps"), ("g", "NO"), ("h", "**no**"), "i", ("j", "no: it is not"),
        ("k", "rather yes"), ("l", "maybe"),
    )  # fmt: skip

    (finding,) = found(answer_findings, rows, "format", format=(CHOICE,))

    assert finding == Finding(
        kind="format", severity=Severity.ERROR, count=10, lines=(2, 3, 4, 5, 6, 7, 8, 10, 11, 12),
        message=note(
            FindingKind.FORMAT,
            answers=10, names=("wrong label casing", "preamble", "not in enumeration"),
            counts=(5, 2, 2),
        ),
        next=note(Remedy.WRITE_AS_REPLIES),
    )  # fmt: skip


def test_a_function_of_the_format_gets_the_row_as_a_case(tmp_path):
    seen = []
    rule = Rule("python", "m:f", function=lambda case, reply: seen.append((case, reply.text)))

    found(answer_findings, rows_of("q", ("ask", "yes")), "format", format=(rule,), folder=tmp_path)

    assert seen == [(
        Case(
            id="line 2", location="the training data", input="ask", score=Rule("exact"),
            format=(rule,),
        ),
        "yes",
    )]  # fmt: skip


def test_a_function_of_the_format_is_looked_up_in_the_folder_of_the_suite(tmp_path):
    (tmp_path / "training_marks.py").write_text("def short(case, reply):\n    return 'long'\n")
    rule = Rule("python", "training_marks:short")

    (finding,) = found(
        answer_findings, rows_of(("ask", "yes")), "format", format=(rule,), folder=tmp_path
    )

    assert finding.message == note(FindingKind.FORMAT, answers=1, names=("python",), counts=(1,))


def test_thoughts_are_found_by_the_marks_of_the_suite_and_break_no_format():
    marks = (("[t]", "[/t]"),)
    rows = rows_of(("a", "[t]it is so[/t]yes"))

    assert found(answer_findings, rows, "format", format=(CHOICE,), thoughts=marks) == []
    (finding,) = found(answer_findings, rows, "format", format=(CHOICE,))
    assert finding.count == 1
    assert found(answer_findings, rows, "format") == []

    rows = rows_of(("a", "[t]so[/t]yes"), ("b", "[t]so[/t]no"), ("c", "<think>so</think>no"))

    (finding,) = found(answer_findings, rows, "thought", thoughts=(("[t]", "[/t]"),))

    assert finding.lines == (1, 2)
    assert finding.message == note(FindingKind.MIXED_THOUGHTS, answers=2)


@every_row(
    ("plain", "severity", "message"),
    [(0, Severity.NOTE, FindingKind.THOUGHTS), (1, Severity.WARNING, FindingKind.MIXED_THOUGHTS)],
)
def test_thoughts_in_some_answers_only_are_a_warning(plain, severity, message):
    rows = rows_of("q", ("a", "<think>so</think>yes"), *[("b", "no")] * plain)

    assert found(answer_findings, rows, "thought") == [
        Finding(
            kind="thought", severity=severity, message=note(message, answers=1), count=1,
            lines=(2,), next=note(Remedy.CHECK_THOUGHTS),
        )
    ]  # fmt: skip


@every_row(
    ("labels", "count", "first"), [("abcdef", 5, "bcdef"), ("abcdefg", 6, "bcdef"), ("ab", 1, "b")]
)
def test_labels_without_a_row_are_an_error_that_names_up_to_five(labels, count, first):
    rows = rows_of(("q", "a"), "b")

    assert found(answer_findings, rows, "missing label", format=(Rule("choice", [*labels]),)) == [
        Finding(
            kind="missing label", severity=Severity.ERROR, count=count,
            message=note(
                FindingKind.MISSING_LABEL, count=count, labels=(*first,), more=count > len(first)
            ),
            next=note(Remedy.ADD_LABELS),
        )
    ]  # fmt: skip


def test_labels_that_all_have_a_row_are_no_finding():
    rows = rows_of(("q", "yes"), ("r", "no"), ("s", "later"))

    assert found(answer_findings, rows, "missing label", format=(CHOICE,)) == []


def labelled(**counts):
    """Return rows with so many different questions of each label."""
    pairs = [(f"q{label}{n}", label) for label, count in counts.items() for n in range(count)]
    return rows_of(*pairs)


def rare(label, rows, other, rare_rows):
    """Return the note that *other* has fewer than a twentieth of the rows of *label*."""
    values = {"label": label, "rows": rows, "rare": other, "rare_rows": rare_rows}
    return note(FindingKind.RARE_LABEL, **values, times=20)


def test_a_label_with_few_rows_is_a_warning_and_only_labels_of_the_suite_count():
    rows = labelled(no=1, yes=61, later=3)

    assert found(answer_findings, rows, "balance") == [
        Finding(
            kind="balance", severity=Severity.WARNING, count=1, lines=(1,),
            message=rare("yes", 61, "no", 1), next=note(Remedy.ADD_RARE),
        )
    ]  # fmt: skip

    rows = labelled(yes=50, no=2, perhaps=1)

    (finding,) = found(answer_findings, rows, "balance", format=(CHOICE,))

    assert finding.message == rare("yes", 50, "no", 2)


@every_row(("yes", "count"), [(1001, 1), (1000, 0)])
def test_a_label_is_rare_from_more_than_twenty_times_as_many_rows_on(yes, count):
    findings = found(answer_findings, labelled(yes=yes, no=50), "balance")

    assert [finding.message for finding in findings] == count * [rare("yes", 1001, "no", 50)]


@every_row(
    ("counts", "are_labels"),
    [
        ({"a": 21, **dict.fromkeys("bcde", 1)}, True),
        ({"a": 21, **dict.fromkeys("bcdef", 1)}, False),
        ({"a": 22}, False),
        ({"a": 21, "b" * 80: 1}, True),
        ({"a": 21, "b" * 81: 1}, False),
    ],
)
def test_answers_are_labels_if_short_and_each_occurs_five_times_on_average(counts, are_labels):
    assert bool(found(answer_findings, labelled(**counts), "balance")) is are_labels


# --- facts ---------------------------------------------------------------------------------------


def facts(*pairs):
    return [line for one in found(answer_findings, rows_of(*pairs), "facts") for line in one.lines]


@every_row(
    ("question", "answer", "is_fact"),
    [
        ("who wrote it", "Jane Miller", True),
        ("did jane miller write it", "Jane Miller", False),
        ("who wrote it", "It was Miller who wrote it", True),
        ("who wrote it", "Somebody wrote it here. Nobody knows", False),
        ("who wrote it", "- Somebody wrote it: Nobody knows", False),
        ("who wrote it", "one did.\n(Another did not) as well", False),
        ("who wrote it", "Nobody else did", True),
        ("who wrote it", "Nobody else did it", False),
        ("when was it", "in 1987 or so", True),
        ("was it 1987", "in 1987 or so", False),
        ("how many", "just 7 of these", False),
        ("how many", "just 17 of these", True),
        ("how much", "about 1,250.00 or so", True),
        ("how much of 1,250.00", "about 1,250.00 or so", False),
    ],
)
def test_a_fact_is_a_name_or_a_number_that_the_question_does_not_mention(question, answer, is_fact):
    assert facts((question, answer)) == ([1] if is_fact else [])


def test_facts_are_no_labels_and_may_stand_in_earlier_turns():
    turns = [
        {"role": "system", "content": "You serve Miller of Leeds."},
        {"role": "user", "content": "I am Smith"},
        {"role": "assistant", "content": "welcome"},
        {"role": "user", "content": "who are we"},
        {"role": "assistant", "content": "we are Smith and Miller in Leeds"},
    ]

    assert facts({"messages": turns}) == []

    assert facts(("a", "Smith"), ("b", "Smith"), ("c", "smith!")) == []
    assert facts(("a", "Smith"), ("b", "Smith")) == [1, 2]


@every_row(("rows", "severity"), [(20, Severity.WARNING), (21, Severity.NOTE)])
def test_facts_in_a_tenth_of_the_answers_are_a_warning(rows, severity):
    plain = [(f"q{n}", f"w{n} x") for n in range(rows - 2)]
    pairs = [("who", "it was Smith"), ("who else", "it was Miller"), *plain]

    assert found(answer_findings, rows_of(*pairs), "facts") == [
        Finding(
            kind="facts", severity=severity, count=2, lines=(1, 2),
            message=note(FindingKind.NEW_FACTS, answers=2), next=note(Remedy.RETRIEVE),
        )
    ]  # fmt: skip


# --- doubtful labels -----------------------------------------------------------------------------


def predictable(count, wrong=(), labels=("apple", "pear", "plum")):
    """Return rows whose words show their label; those of the indexes *wrong* have the next one."""
    pairs = []
    for n in range(count):
        label = labels[n % len(labels)]
        own = [f"{label}{i}" for i in random.Random(n).sample(range(12), 6)]
        following = labels[(n + 1) % len(labels)]
        pairs.append((" ".join(own), following if n in wrong else label))
    return rows_of(*pairs)


def doubtful(rows, line, label, other):
    values = {"rows": rows, "line": line, "label": label, "other": other}
    return note(FindingKind.DOUBTFUL_LABEL, **values)


def test_a_row_whose_words_are_those_of_another_label_is_doubtful():
    rows = predictable(120, wrong=[60])

    assert [*doubtful_label_findings(rows)] == [
        Finding(
            kind="doubtful label", severity=Severity.NOTE, count=1, lines=(61,),
            message=doubtful(1, 61, "pear", "apple"), next=note(Remedy.READ_LABELS),
        )
    ]  # fmt: skip


def test_doubtful_labels_of_a_hundredth_of_the_rows_are_a_warning_told_by_the_clearest():
    (finding,) = doubtful_label_findings(predictable(100, wrong=[60]))

    assert (finding.severity, finding.lines) == (Severity.WARNING, (61,))

    (finding,) = doubtful_label_findings(predictable(240, wrong=[60, 121]))

    assert finding.lines == (61, 122)
    assert finding.message in (
        doubtful(2, 61, "pear", "apple"), doubtful(2, 122, "plum", "pear"),
    )  # fmt: skip


@every_row(
    "rows",
    [
        [*predictable(60), *rows_of(("apple1 apple2 apple3", "fig"), ("apple1 apple5", "fig"))],
        predictable(60, labels=["apple"]),
        rows_of(*[("?" * (n + 1), "abc"[n % 3]) for n in range(60)]),
        # No words show these labels.
        rows_of(*[(f"w{n} x{n}", "abc"[n % 3]) for n in range(60)]),
    ],
    ids=["two rows of a label", "one label", "no words", "other words in each row"],
)
def test_no_label_is_doubtful_without_an_alternative_or_words_that_show_it(rows):
    assert [*doubtful_label_findings(rows)] == []


def test_two_words_together_may_show_a_label():
    """Each word alone is as frequent with one label as with the other."""
    pairs = [("not good but bad", "yes"), ("good but not bad", "no")] * 30
    pairs[4] = (pairs[4][0], "no")

    (finding,) = doubtful_label_findings(rows_of(*pairs))

    assert finding.lines == (5,)
    assert finding.message == doubtful(1, 5, "no", "yes")
