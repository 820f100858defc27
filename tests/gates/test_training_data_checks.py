"""Checks of training data: each finding is whole, with its lines, its figures and what to do."""

from __future__ import annotations

import random

from ftgate_testing.tables import every_row
from ftgate_testing.training_rows import found, rows_of

from pytest_ftgate.gates.notes import Finding, FindingKind, Remedy, Severity, note
from pytest_ftgate.gates.training_data_checks import (
    CaseLeaks,
    answer_findings,
    doubtful_label_findings,
    duplicate_findings,
    find_case_leaks,
    normalise_text,
    question_key,
    sensitive_data_findings,
)
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

CHOICE = Rule("choice", ["yes", "no", "later"])


def case(text, name="c1"):
    return Case(id=name, location="c.jsonl:1", input=text, score=Rule("exact"))


# --- secrets and personal data -------------------------------------------------------------------


def named(text):
    """Return the values of the findings in a row with *text*."""
    return [finding.message.values for finding in sensitive_data_findings(rows_of(text))]


@every_row(
    ("text", "name"),
    [
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("sk-ant-" + "a1-_" * 5, "an Anthropic key"),
        ("sk-proj-" + "a1B2" * 5, "an OpenAI key"),
        ("sk-" + "a1B2" * 5, "an OpenAI key"),
        ("ASIAIOSFODNN7EXAMPLE", "an AWS key"),
        ("ghs_" + "a1" * 18, "a GitHub token"),
        ("github_pat_" + "a1" * 11, "a GitHub token"),
        ("glpat-" + "a1B2-" * 4, "a GitLab token"),
        ("xoxb-" + "a1B2-" * 2, "a Slack token"),
        ("AIza" + "a1-B2" * 7, "a Google key"),
        ("rk_live_" + "a1B2" * 5, "a Stripe key"),
        ("npm_" + "a1" * 18, "an npm token"),
        ("hf_" + "a1B" * 10, "a Hugging Face token"),
        ("eyJ" + "a1B2-" * 2 + ".eyJ" + "a1B2-" * 2 + "." + "a1B2-" * 2, "a signed token"),
        ('"API_KEY": "hunter21"', "a password"),
        ("access-token = hunter21", "a password"),
        ("jane.doe+x@mail.example.org", "an e-mail address"),
        ("+49 (30) 901 820", "a telephone number"),
        ("DE89370400440532013000", "a bank account"),
        ("GB29 NWBK 6016 1331 9268 19", "a bank account"),
        ("4111-1111-1111-1111", "a card number"),
        ("378282246310005", "a card number"),
        ("078-05-1120", "a social security number"),
    ],
)
def test_a_secret_or_a_person_is_named_by_its_kind(text, name):
    assert named(f"so: {text}") == [{"rows": 1, "names": (name,), "counts": (1,)}]


@every_row(
    "text",
    [
        "sk-" + "a" * 19, "AKIAIOSFODNN7EXAMPL", "hf_" + "a" * 29, "password: hunter2",
        "password: hunterhunter", "me@test.org", "+49 30", "0000 0000 0000 0000",
        "4111 1111 1111", "the password is wrong", "order 4111 1111 1111 1112",
        "IBAN DE88 3704 0044 0532 0130 00", "invoice 2026-11-25 over 1,250.00", "1078-05-1120",
        "4111 1111 1111 1110", "5111 1111 1111 1111",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_or_a_person_is_not_found(text):
    assert named(f"so: {text}") == []


def test_secrets_and_personal_data_are_two_findings_with_each_kind_counted():
    rows = rows_of(
        "write to a.b@mail.org or c.d@mail.org",
        ("nothing", "the password: hunter22"),
        {"messages": [
            {"role": "system", "content": "call +49 30 901820"},
            {"role": "user", "content": "AKIAIOSFODNN7EXAMPLE, password: hunter22"},
            {"role": "assistant", "content": "ok"},
        ]},
    )  # fmt: skip

    assert [*sensitive_data_findings(rows)] == [
        Finding(
            kind="secret", severity=Severity.ERROR, count=2, lines=(2, 3),
            message=note(
                FindingKind.SENSITIVE, rows=2, names=("a password", "an AWS key"), counts=(2, 1)
            ),
            next=note(Remedy.REVOKE),
        ),
        Finding(
            kind="personal", severity=Severity.WARNING, count=2, lines=(1, 3),
            message=note(
                FindingKind.SENSITIVE,
                rows=2, names=("an e-mail address", "a telephone number"), counts=(1, 1),
            ),
            next=note(Remedy.INVENT),
        ),
    ]  # fmt: skip

    assert [*sensitive_data_findings(rows_of(("the password:", "is hunter22")))] == []


# --- the same text -------------------------------------------------------------------------------


@every_row(
    ("text", "normal"),
    [
        ("  Where's   my «CARD» ?!\n", "where's my card"),
        ("(a) b- -c", "a b c"),
        ("...", "..."),
        ("€5 + x", "€5 + x"),
        ("", ""),
    ],
)
def test_a_normal_text_has_words_in_lower_case_without_punctuation_around_them(text, normal):
    assert normalise_text(text) == normal


def test_the_question_of_a_row_is_its_system_prompt_and_its_turns():
    (row,) = rows_of({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "And NOW?"},
            {"role": "assistant", "content": "x"},
        ]
    })  # fmt: skip

    assert question_key(row) == ("be brief", "user hi", "assistant hello", "user and now")


def test_rows_that_repeat_one_are_a_finding_that_names_the_first_pair():
    rows = rows_of(
        ("first", "yes"), ("A  thing!", "Yes"), ("other", "yes"), ("a thing", "no"),
        ("a thing", "yes."), ("a Thing?", "yes"), "a thing", "A thing.",
    )  # fmt: skip

    assert [one for one in duplicate_findings(rows) if one.kind == "duplicate"] == [
        Finding(
            kind="duplicate", severity=Severity.WARNING, count=3, lines=(5, 6, 8),
            message=note(FindingKind.DUPLICATE, rows=3, earlier=2, line=5),
            next=note(Remedy.REMOVE),
        )
    ]  # fmt: skip


def test_one_row_that_nearly_repeats_another_with_its_answer_is_a_finding():
    rows = rows_of(
        ("one two three four", "no"), ("one two three four five", "yes"),
        ("six one two three four five", "yes"), ("one two three four five", "yes"),
    )  # fmt: skip

    assert [one for one in duplicate_findings(rows) if one.kind == "near duplicate"] == [
        Finding(
            kind="near duplicate", severity=Severity.WARNING, count=1, lines=(3,),
            message=note(FindingKind.NEAR_DUPLICATE, rows=1, earlier=2, line=3),
            next=note(Remedy.VARY),
        )
    ]  # fmt: skip


def test_rows_that_nearly_repeat_several_are_told_with_the_first_of_them():
    rows = rows_of(
        ("a b c d e f g h i j", "yes"), ("k a b c d e f g h i j", "yes"),
        ("l k a b c d e f g h i j", "yes"),
    )  # fmt: skip

    (finding,) = [one for one in duplicate_findings(rows) if one.kind == "near duplicate"]

    assert finding.message == note(FindingKind.NEAR_DUPLICATE, rows=2, earlier=1, line=2)
    assert finding.lines == (2, 3)


# --- cases of the suite --------------------------------------------------------------------------


def test_a_case_leaks_exactly_by_its_words_and_nearly_by_most_of_them():
    rows = rows_of(
        ("Where is my card?", "x"),
        ("where is my Card", "x"),
        ("where is my card now", "x"),
        ("my card where is", "x"),
        ("something else", "where is my card"),
        {"messages": [
            {"role": "user", "content": "Where is my CARD"},
            {"role": "assistant", "content": "did it arrive"},
            {"role": "user", "content": "no"},
            {"role": "assistant", "content": "x"},
        ]},
    )  # fmt: skip
    cases = (
        case("where is my card"), case("so where is my card", "c2"),
        case("did it arrive", "c3"), case("a b c", "c4"),
    )  # fmt: skip

    leaks = find_case_leaks(rows, cases)

    assert leaks == CaseLeaks({"c1": [1, 2, 6]}, {"c1": [3, 4], "c2": [1, 2, 4, 6]})
    assert leaks.case_ids == {"c1", "c2"}


def test_a_case_within_the_text_of_a_row_without_an_answer_leaks_nearly():
    rows = rows_of(
        ("nothing", "x"), {"text": "<s>Q: where is my new card? A: it is on its way to you</s>"}
    )

    leaks = find_case_leaks(rows, [case("Where is my new card?")])

    assert leaks == CaseLeaks({}, {"c1": [2]})


def test_leaks_are_two_findings_that_name_the_first_case_and_its_line():
    leaks = CaseLeaks({"c7": [5, 9]}, {"c2": [4], "c1": [9, 3]})

    assert [*leaks.findings(1200)] == [
        Finding(
            kind="leak", severity=Severity.ERROR, count=1, lines=(5, 9), cases=("c7",),
            message=note(FindingKind.LEAK, count=1, of=1200, first="c7", line=5),
            next=note(Remedy.TAKE_OUT),
        ),
        Finding(
            kind="near leak", severity=Severity.WARNING, count=2, lines=(3, 4, 9),
            cases=("c2", "c1"),
            message=note(FindingKind.NEAR_LEAK, count=2, of=1200, first="c2", line=4),
            next=note(Remedy.TAKE_OUT),
        ),
    ]  # fmt: skip
    assert [*CaseLeaks({}, {}).findings(3)] == []


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

    rows = rows_of(("ask", "yes"))
    (finding,) = found(answer_findings, rows, "format", format=(rule,), folder=tmp_path)

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

    assert found(answer_findings, rows, "missing label", format=(Rule("choice", ["a"]),)) == []
    assert found(answer_findings, rows, "missing label", format=(Rule("choice", [*labels]),)) == [
        Finding(
            kind="missing label", severity=Severity.ERROR, count=count,
            message=note(
                FindingKind.MISSING_LABEL, count=count, labels=(*first,), more=count > len(first)
            ),
            next=note(Remedy.ADD_LABELS),
        )
    ]  # fmt: skip


def labelled(**counts):
    """Return rows with so many different questions of each label."""
    pairs = [(f"q{label}{n}", label) for label, count in counts.items() for n in range(count)]
    return rows_of(*pairs)


def rare(label, rows, other, rare_rows):
    """Return the note that *other* has fewer than a twentieth of the rows of *label*."""
    values = {"label": label, "rows": rows, "rare": other, "rare_rows": rare_rows}
    return note(FindingKind.RARE_LABEL, **values, times=20)


def test_a_label_with_few_rows_is_a_warning():
    rows = labelled(no=1, yes=61, later=3)

    assert found(answer_findings, rows, "balance") == [
        Finding(
            kind="balance", severity=Severity.WARNING, count=1, lines=(1,),
            message=rare("yes", 61, "no", 1), next=note(Remedy.ADD_RARE),
        )
    ]  # fmt: skip


@every_row(
    ("counts", "told"),
    [
        ({"yes": 1001, "no": 50}, [rare("yes", 1001, "no", 50)]),
        ({"yes": 1000, "no": 50}, []),
        # Only labels of the suite count.
        ({"yes": 50, "no": 2, "perhaps": 1}, [rare("yes", 50, "no", 2)]),
    ],
)
def test_a_label_is_rare_from_more_than_twenty_times_as_many_rows_on(counts, told):
    findings = found(answer_findings, labelled(**counts), "balance", format=(CHOICE,))

    assert [finding.message for finding in findings] == told


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
