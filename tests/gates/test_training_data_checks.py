"""Checks of training data: each finding is whole, with its lines, its figures and what to do."""

from __future__ import annotations

from ftgate_testing.tables import every_row
from ftgate_testing.training_rows import found, rows_of

from pytest_ftgate.gates.notes import FindingKind, Remedy, note
from pytest_ftgate.gates.training_data_checks import (
    CaseLeaks,
    duplicate_findings,
    find_case_leaks,
    normalise_text,
    question_key,
    sensitive_data_findings,
)
from pytest_ftgate.gates.verdict import Finding, Severity
from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


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
            message=note(FindingKind.DUPLICATE, rows=3, earlier=2, line=5),
            next=note(Remedy.REMOVE),
        )
    ]  # fmt: skip


def test_one_row_that_nearly_repeats_another_with_its_answer_is_a_finding():
    rows = rows_of(
        ("one two three four", "no"), ("one two three four five", "yes"),
        ("six one two three four five", "yes"), ("one two three four five", "yes"),
    )  # fmt: skip

    assert found(duplicate_findings, rows, "near duplicate") == [
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

    (finding,) = found(duplicate_findings, rows, "near duplicate")

    assert finding.message == note(FindingKind.NEAR_DUPLICATE, rows=2, earlier=1, line=2)
    assert finding.lines == (2, 3)


@every_row(("near", "count"), [(0.75, 1), (0.76, 0)])
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


@every_row(("share", "near"), [(0.75, {"c1": [1]}), (0.76, {})])
def test_the_share_of_common_words_of_a_near_leak_is_given(share, near):
    rows = rows_of(("one two three four", "x"))

    assert find_case_leaks(rows, [case("one two three")], share) == CaseLeaks({}, near)


def test_a_case_within_the_text_of_a_row_without_an_answer_leaks_nearly():
    rows = rows_of(
        ("nothing", "x"), {"text": "<s>Q: where is my new card? A: it is on its way to you</s>"}
    )

    leaks = find_case_leaks(rows, [case("Where is my new card?")], 0.8)

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
