"""Checks of training data: each finding is whole, with its lines, its figures and what to do."""

from __future__ import annotations

import random

import pytest

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
from pytest_ftgate.gates.training_rows import TrainingDataRules, TrainingRow
from pytest_ftgate.gates.verdict import Finding, Severity
from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import parse_training_row

CHOICE = Rule("choice", ["yes", "no", "later"])
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]


def rows_of(*values):
    """Return rows from line 1 on; a pair is a question with its answer, a text a question."""
    rows = []
    for line, value in enumerate(values, 1):
        pair = (value,) if isinstance(value, str) else value
        named = zip(("input", "expected"), pair, strict=False)
        raw = value if isinstance(value, dict) else dict(named)
        rows.append(TrainingRow(parse_training_row(line, raw), raw))
    return rows


def case(text, name="c1"):
    return Case(id=name, location="c.jsonl:1", input=text, score=Rule("exact"))


def words(seed, count=8):
    return " ".join(random.Random(seed).sample(WORDS, count))


def found(check, rows, kind, **rules):
    """Return the findings of one kind that *check* has in *rows*."""
    findings = check(rows, TrainingDataRules(**rules))
    return [finding for finding in findings if finding.kind == kind]


# --- secrets and personal data -------------------------------------------------------------------


def named(text):
    """Return what the findings say that a row with *text* contains."""
    findings = sensitive_data_findings(rows_of(text))
    return [finding.message.removeprefix("1 row seems to contain ") for finding in findings]


@pytest.mark.parametrize(
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
    assert named(f"so: {text}") == [f"{name} (1)"]


@pytest.mark.parametrize(
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
            message="2 rows seem to contain a password (2), an AWS key (1)",
            next="revoke it and take it out: a model gives away what it was trained on",
        ),
        Finding(
            kind="personal", severity=Severity.WARNING, count=2, lines=(1, 3),
            message="2 rows seem to contain an e-mail address (1), a telephone number (1)",
            next="replace it by invented data, unless you may train on it",
        ),
    ]  # fmt: skip


def test_parts_of_a_secret_in_two_texts_of_a_row_are_none():
    assert [*sensitive_data_findings(rows_of(("the password:", "is hunter22")))] == []


# --- the same text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Where's   my «CARD» ?!\n", "where's my card"),
        ("(a) b- -c", "a b c"),
        ("...", "..."),
        (" ?! ", "?!"),
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

    assert found(duplicate_findings, rows, "duplicate") == [
        Finding(
            kind="duplicate", severity=Severity.WARNING, count=3, lines=(5, 6, 8),
            message="3 rows repeat another; the first is that of line 2, in line 5",
            next="remove them",
        )
    ]  # fmt: skip


def test_one_row_that_repeats_another_is_told_in_the_singular():
    (finding,) = found(duplicate_findings, rows_of(("a", "yes"), ("A", "yes")), "duplicate")

    assert finding.message == "1 row repeats another; the first is that of line 1, in line 2"


def test_one_row_that_nearly_repeats_another_with_its_answer_is_a_finding():
    rows = rows_of(
        ("one two three four", "no"), ("one two three four five", "yes"),
        ("six one two three four five", "yes"), ("one two three four five", "yes"),
    )  # fmt: skip

    assert found(duplicate_findings, rows, "near duplicate") == [
        Finding(
            kind="near duplicate", severity=Severity.WARNING, count=1, lines=(3,),
            message="1 row nearly repeats another that has the same answer; "
            "the first is that of line 2, in line 3",
            next="keep one of each, or write more varied ones",
        )
    ]  # fmt: skip


def test_rows_that_nearly_repeat_several_are_told_with_the_first_of_them():
    rows = rows_of(
        ("a b c d e f g h i j", "yes"), ("k a b c d e f g h i j", "yes"),
        ("l k a b c d e f g h i j", "yes"),
    )  # fmt: skip

    (finding,) = found(duplicate_findings, rows, "near duplicate")

    assert finding.message == (
        "2 rows nearly repeat another that has the same answer; "
        "the first is that of line 1, in line 2"
    )
    assert finding.lines == (2, 3)


@pytest.mark.parametrize(("near", "count"), [(0.75, 1), (0.76, 0)])
def test_the_share_of_common_words_of_near_duplicates_is_that_of_the_gate(near, count):
    rows = rows_of(("one two three", "yes"), ("one two three four", "yes"))

    gate = DataGate(near=near)

    assert len(found(duplicate_findings, rows, "near duplicate", gate=gate)) == count


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

    leaks = find_case_leaks(rows, cases, 0.8)

    assert leaks == CaseLeaks({"c1": [1, 2, 6]}, {"c1": [3, 4], "c2": [1, 2, 4, 6]})
    assert leaks.case_ids == {"c1", "c2"}


@pytest.mark.parametrize(("share", "near"), [(0.75, {"c1": [1]}), (0.76, {})])
def test_the_share_of_common_words_of_a_near_leak_is_given(share, near):
    rows = rows_of(("one two three four", "x"))

    assert find_case_leaks(rows, [case("one two three")], share) == CaseLeaks({}, near)


def test_a_case_within_the_text_of_a_row_without_an_answer_leaks_nearly():
    rows = rows_of(
        ("nothing", "x"), {"text": "<s>Q: where is my new card? A: " + words(1, 30) + "</s>"}
    )

    leaks = find_case_leaks(rows, [case("Where is my new card?")], 0.8)

    assert leaks == CaseLeaks({}, {"c1": [2]})


def test_leaks_are_two_findings_that_name_the_first_case_and_its_line():
    leaks = CaseLeaks({"c7": [5, 9]}, {"c2": [4], "c1": [9, 3]})

    assert [*leaks.findings(1200)] == [
        Finding(
            kind="leak", severity=Severity.ERROR, count=1, lines=(5, 9), cases=("c7",),
            message="1 of 1,200 cases stands in the training data; the first is c7, in line 5",
            next="take the rows out and train again; until then these cases show nothing",
        ),
        Finding(
            kind="near leak", severity=Severity.WARNING, count=2, lines=(3, 4, 9),
            cases=("c2", "c1"),
            message="2 of 1,200 cases stand nearly in the training data; "
            "the first is c2, in line 4",
            next="take the rows out and train again; until then these cases show nothing",
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
            message="2 questions are asked with different answers; the first in lines 2 and 5",
            next="choose one answer, or make the questions different",
        )
    ]  # fmt: skip


def test_one_question_with_three_answers_is_one_conflict():
    (finding,) = found(answer_findings, rows_of(("a", "x"), ("a", "y"), ("a", "z")), "conflict")

    assert finding.message == (
        "1 question is asked with different answers; the first in lines 1 and 2"
    )


def test_answers_that_break_the_format_are_an_error_with_the_three_commonest_kinds():
    rows = rows_of(
        ("a", "yes"), ("b", "Yes"), ("c", "YES"), ("d", "`no`"), ("e", "The answer is: no"),
        ("f", "perhaps"), ("g", "NO"), ("h", "**no**"), "i", ("j", "no: it is not"),
        ("k", "rather yes"), ("l", "maybe"),
    )  # fmt: skip

    (finding,) = found(answer_findings, rows, "format", format=(CHOICE,))

    assert finding == Finding(
        kind="format", severity=Severity.ERROR, count=10, lines=(2, 3, 4, 5, 6, 7, 8, 10, 11, 12),
        message="10 answers break the format of replies "
        "(wrong label casing 5, preamble 2, not in enumeration 2)",
        next="a model learns the format of its answers: write them as replies must be",
    )  # fmt: skip


def test_one_answer_that_breaks_the_format_is_told_in_the_singular():
    (finding,) = found(answer_findings, rows_of(("a", "Yes")), "format", format=(CHOICE,))

    assert finding.message == "1 answer breaks the format of replies (wrong label casing 1)"


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

    assert finding.message == "1 answer breaks the format of replies (python 1)"


def test_a_thought_before_an_answer_is_no_error_of_its_format():
    marks = (("[t]", "[/t]"),)
    rows = rows_of(("a", "[t]it is so[/t]yes"))

    assert found(answer_findings, rows, "format", format=(CHOICE,), thoughts=marks) == []
    (finding,) = found(answer_findings, rows, "format", format=(CHOICE,))
    assert finding.count == 1
    assert found(answer_findings, rows, "format") == []


@pytest.mark.parametrize(
    ("plain", "severity", "told"),
    [
        (0, Severity.NOTE, "1 answer has a thought before it"),
        (1, Severity.WARNING, "1 answer has a thought before it, and the others have none"),
    ],
)
def test_thoughts_in_some_answers_only_are_a_warning(plain, severity, told):
    rows = rows_of("q", ("a", "<think>so</think>yes"), *[("b", "no")] * plain)

    assert found(answer_findings, rows, "thought") == [
        Finding(
            kind="thought", severity=severity, message=told, count=1, lines=(2,),
            next="many chat templates cut thoughts off or add empty ones: check what the trainer "
            "makes of a row, and write thoughts in all answers or in none",
        )
    ]  # fmt: skip


def test_thoughts_are_found_by_the_marks_of_the_suite():
    rows = rows_of(("a", "[t]so[/t]yes"), ("b", "[t]so[/t]no"), ("c", "<think>so</think>no"))

    (finding,) = found(answer_findings, rows, "thought", thoughts=(("[t]", "[/t]"),))

    assert finding.lines == (1, 2)
    assert finding.message == ("2 answers have a thought before it, and the others have none")


@pytest.mark.parametrize(
    ("labels", "count", "told"),
    [
        ("abcdef", 5, "5 labels of the suite without a row: b, c, d, e, f"),
        ("abcdefg", 6, "6 labels of the suite without a row: b, c, d, e, f, …"),
        ("ab", 1, "1 label of the suite without a row: b"),
    ],
)
def test_labels_without_a_row_are_an_error_that_names_up_to_five(labels, count, told):
    rows = rows_of(("q", "a"), "b")

    assert found(answer_findings, rows, "missing label", format=(Rule("choice", [*labels]),)) == [
        Finding(
            kind="missing label", severity=Severity.ERROR, message=told, count=count,
            next="add rows of each of these labels",
        )
    ]  # fmt: skip


def test_labels_that_all_have_a_row_are_no_finding():
    rows = rows_of(("q", "yes"), ("r", "no"), ("s", "later"))

    assert found(answer_findings, rows, "missing label", format=(CHOICE,)) == []


def labelled(**counts):
    """Return rows with so many different questions of each label."""
    pairs = [(f"q{label}{n}", label) for label, count in counts.items() for n in range(count)]
    return rows_of(*pairs)


def test_a_label_with_few_rows_is_a_warning_with_its_lines():
    rows = labelled(no=1, yes=61, later=3)

    assert found(answer_findings, rows, "balance") == [
        Finding(
            kind="balance", severity=Severity.WARNING, count=1, lines=(1,),
            message="yes has 61 rows and no has 1: more than 20 times as many",
            next="add rows of the rare labels; what is rare in training is rarely answered",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("yes", "count"), [(1001, 1), (1000, 0)])
def test_the_ratio_of_the_labels_is_that_of_the_gate(yes, count):
    rows = labelled(yes=yes, no=400)

    findings = found(answer_findings, rows, "balance", gate=DataGate(balance=2.5))

    assert [finding.message for finding in findings] == count * [
        "yes has 1,001 rows and no has 400: more than 2.5 times as many"
    ]


def test_only_labels_of_the_suite_are_counted_where_it_has_labels():
    rows = labelled(yes=50, no=2, perhaps=1)

    (finding,) = found(answer_findings, rows, "balance", format=(CHOICE,))

    assert finding.message == "yes has 50 rows and no has 2: more than 20 times as many"


@pytest.mark.parametrize(
    ("counts", "are_labels"),
    [
        ({"a": 9, "b": 1}, True),
        ({"a": 8, "b": 1}, False),
        ({"a": 10}, False),
        ({"a": 9, "b" * 80: 1}, True),
        ({"a": 9, "b" * 81: 1}, False),
    ],
)
def test_answers_are_labels_if_short_and_each_occurs_five_times_on_average(counts, are_labels):
    gate = DataGate(balance=1)

    assert bool(found(answer_findings, labelled(**counts), "balance", gate=gate)) is are_labels


# --- facts ---------------------------------------------------------------------------------------


def facts(*pairs):
    return [line for one in found(answer_findings, rows_of(*pairs), "facts") for line in one.lines]


@pytest.mark.parametrize(
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


def test_a_fact_may_stand_in_the_system_prompt_or_in_an_earlier_turn():
    turns = [
        {"role": "system", "content": "You serve Miller of Leeds."},
        {"role": "user", "content": "I am Smith"},
        {"role": "assistant", "content": "welcome"},
        {"role": "user", "content": "who are we"},
        {"role": "assistant", "content": "we are Smith and Miller in Leeds"},
    ]

    assert facts({"messages": turns}) == []


@pytest.mark.parametrize(("rows", "severity"), [(20, Severity.WARNING), (21, Severity.NOTE)])
def test_facts_in_a_tenth_of_the_answers_are_a_warning(rows, severity):
    plain = [(f"q{n}", f"w{n} x") for n in range(rows - 2)]
    pairs = [("who", "it was Smith"), ("who else", "it was Miller"), *plain]

    assert found(answer_findings, rows_of(*pairs), "facts") == [
        Finding(
            kind="facts", severity=severity, count=2, lines=(1, 2),
            message="2 answers name people, places, dates or numbers that the question does not",
            next="facts are better retrieved than trained: new ones are learned badly, and teach "
            "to invent",
        )
    ]  # fmt: skip


def test_one_answer_names_a_fact():
    (finding,) = found(answer_findings, rows_of(("who", "it was Smith")), "facts")

    assert finding.message == (
        "1 answer names people, places, dates or numbers that the question does not"
    )


def test_an_answer_that_occurs_three_times_is_a_label_and_no_fact():
    assert facts(("a", "Smith"), ("b", "Smith"), ("c", "smith!")) == []
    assert facts(("a", "Smith"), ("b", "Smith")) == [1, 2]


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


def test_a_row_whose_words_are_those_of_another_label_is_doubtful():
    rows = predictable(120, wrong=[60])

    assert [*doubtful_label_findings(rows)] == [
        Finding(
            kind="doubtful label", severity=Severity.NOTE, count=1, lines=(61,),
            message="1 row is labelled otherwise than rows like them; "
            "the clearest is line 61: pear, and not apple",
            next="read them: a wrong label is learned as well as a right one",
        )
    ]  # fmt: skip


def test_doubtful_labels_of_a_hundredth_of_the_rows_are_a_warning():
    (finding,) = doubtful_label_findings(predictable(100, wrong=[60]))

    assert (finding.severity, finding.lines) == (Severity.WARNING, (61,))


def test_labels_with_fewer_than_three_rows_are_left_out():
    rows = predictable(60)
    rare = rows_of(("apple1 apple2 apple3 apple4", "fig"), ("apple1 apple2 apple5 apple6", "fig"))

    assert [*doubtful_label_findings([*rows, *rare])] == []


def test_two_words_together_may_show_a_label():
    """Each word alone is as frequent with one label as with the other."""
    pairs = [("not good but bad", "yes"), ("good but not bad", "no")] * 30
    pairs[4] = (pairs[4][0], "no")

    (finding,) = doubtful_label_findings(rows_of(*pairs))

    assert finding.lines == (5,)
    assert finding.message.endswith("line 5: no, and not yes")
