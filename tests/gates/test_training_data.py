"""Training data: every kind of defect is found with its lines, and no secret is shown."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
from columns import suite

from pytest_ftgate.gates.training_data import (
    check_training_data,
    evaluate_data,
    find_leaked_cases,
    read_training_data,
)
from pytest_ftgate.gates.training_data_checks import normalise_text
from pytest_ftgate.gates.training_rows import TrainingDataRules
from pytest_ftgate.gates.verdict import Severity
from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["billing", "refund", "other"])
#: Words of which no two rows have many in common.
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]
KEY = "sk-ant-" + "a1B2" * 8


def question(n):
    return " ".join(random.Random(n).sample(WORDS, 7))


def row(n, answer=None, **more):
    return {"input": question(n), "expected": answer or LABELS.value[n % 3], **more}


def case(text, name="c1"):
    return Case(
        id=name, location="cases.jsonl:1", input=text, expected="refund", score=Rule("exact")
    )


@pytest.fixture
def findings_in(tmp_path):
    """Return the findings in a training file of these rows; a text is written as a line."""

    def write_and_check(rows, **rules):
        path = tmp_path / "train.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return check_training_data(read_training_data(path), _rules(**rules))

    return write_and_check


def _rules(*, cases=(), format=(), context=None, **limits):  # noqa: A002 - the name of the field
    """Return the rules with some limits of the gate."""
    gate = DataGate(**limits)
    return TrainingDataRules(cases=cases, format=format, context=context, gate=gate)


def lines_by_kind(findings):
    """Return the lines of each kind of finding."""
    lines: dict[str, list[int]] = {}
    for finding in findings:
        lines.setdefault(finding.kind, []).extend(finding.lines)
    return {kind: sorted(numbers) for kind, numbers in lines.items()}


def test_a_good_file_has_no_finding(findings_in):
    rows = [row(n) for n in range(600)]

    assert findings_in(rows, format=(LABELS,), cases=(case(question(700)),)) == ()


def test_planted_defects_are_all_found_with_their_lines(findings_in):
    rows = [row(n) for n in range(500)]
    planted = [
        {"messages": [{"role": "user", "content": "Hello"}]},  # 501: nothing to learn
        '{"input": "half a row',  # 502: no JSON
        {"messages": [{"role": "user", "content": "A b"}, {"role": "user", "content": "c"},
                      {"role": "assistant", "content": "other"}]},  # 503: user after user
        row(3) | {"input": question(3).upper() + "!"},  # 504: a row again
        row(4, "other") | {"input": question(4)},  # 505: the same question, another answer
        {"input": question(5) + " please", "expected": LABELS.value[2]},  # 506: nearly a row
        row(900, "Refund."),  # 507: a format error
        row(901) | {"input": f"my key is {KEY}, help"},  # 508: a secret
        row(902) | {"input": "write to jane.doe@gmail.com about it"},  # 509: a person
        row(903, synthetic=True),  # 510: not verified
        row(904) | {"input": "word " * 900},  # 511: too long
        row(905) | {"input": "Where did my refund of Monday go?"},  # 512: a case of the suite
        row(905) | {"input": "so where did my refund of monday go"},  # 513: nearly that case
        row(907, "Ask Dr Miller on 4 May 2031"),  # 514: a fact that no question mentions
    ]  # fmt: skip

    findings = findings_in(
        rows + planted,
        format=(LABELS,),
        context=512,
        cases=(case("where did my refund of monday go"), case("so where did it go", "c2")),
    )

    assert lines_by_kind(findings) == {
        "broken": [501, 502], "roles": [503], "duplicate": [504], "conflict": [5, 505],
        "near duplicate": [506, 513], "format": [507, 514], "secret": [508], "personal": [509],
        "unverified": [510], "truncated": [511], "leak": [512], "near leak": [513], "facts": [514],
    }  # fmt: skip
    assert KEY not in str(findings)
    assert all(
        finding.message and (finding.next or finding.kind == "broken") for finding in findings
    )


def test_the_defects_of_a_public_data_set_are_found_with_their_counts(findings_in):
    """As in banking77: the same but for case, punctuation and space; and test rows in train."""
    rows = [{"text": question(n), "label": f"intent_{n % 77}"} for n in range(2_000)]
    for n in range(9):
        shown = question(n)
        rows.append({"text": f"\n{shown.capitalize()} ?  ", "label": f"intent_{n % 77}"})
    cases = tuple(case(f"{question(n)}!", f"t{n}") for n in range(100, 111))

    findings = {
        finding.kind: finding
        for finding in findings_in(rows, cases=(*cases, case(question(5_000))))
    }

    assert (findings["duplicate"].count, findings["leak"].count) == (9, 11)
    assert findings["duplicate"].lines == tuple(range(2_001, 2_010))
    assert findings["leak"].cases == tuple(expected.id for expected in cases)


@pytest.mark.parametrize(("rows", "severity"), [(150, Severity.ERROR), (300, Severity.WARNING)])
def test_a_small_file_has_a_finding(findings_in, rows, severity):
    (finding,) = findings_in([row(n) for n in range(rows)])

    assert (finding.kind, finding.severity) == ("size", severity)


def test_missing_labels_and_rare_labels_are_named(findings_in):
    rows = [row(n, "billing") for n in range(580)] + [row(n, "refund") for n in range(580, 600)]

    findings = {finding.kind: finding.message for finding in findings_in(rows, format=(LABELS,))}

    assert findings == {
        "missing label": "1 label of the suite without a row: other",
        "balance": "billing has 580 rows and refund has 20: more than 20 times as many",
    }


def about(n, label):
    """Return a question whose words predict its label, and differ from row to row."""
    words = WORDS[LABELS.value.index(label) :: len(LABELS.value)]
    return {"input": " ".join(random.Random(n).sample(words, 30)), "expected": label}


def test_labels_that_differ_from_those_of_similar_rows_are_doubtful(findings_in):
    rows = [about(n, LABELS.value[n % 3]) for n in range(600)]
    for n in (30, 60, 90):
        rows[n] |= {"expected": "other"}

    (finding,) = findings_in(rows, format=(LABELS,))

    assert (finding.kind, finding.severity, finding.lines) == (
        "doubtful label",
        Severity.NOTE,
        (31, 61, 91),
    )
    assert re.search(r"line (31|61|91): other, and not billing", finding.message)
    assert finding.count == 3


def test_many_doubtful_labels_are_a_warning(findings_in):
    rows = [about(n, LABELS.value[n % 3]) for n in range(600)]
    for n in range(0, 24, 3):
        rows[n] |= {"expected": "refund"}

    (finding,) = findings_in(rows)

    assert (finding.severity, finding.lines) == (Severity.WARNING, tuple(range(1, 25, 3)))


def test_labels_that_no_question_predicts_are_not_doubtful(findings_in):
    assert findings_in([row(n) for n in range(600)]) == ()


def test_answers_with_names_that_no_question_mentions_teach_facts(findings_in):
    rows = [
        {"input": question(n), "expected": f"The office of {question(n + 700).title()} opens."}
        for n in range(600)
    ]

    (finding,) = findings_in(rows)

    assert (finding.kind, finding.severity, finding.count) == ("facts", Severity.WARNING, 600)


@pytest.mark.parametrize(
    ("thinking", "severity"), [(3, Severity.WARNING), (300, Severity.NOTE), (0, None)]
)
def test_thoughts_in_answers_are_a_warning_where_only_some_have_one(
    findings_in, thinking, severity
):
    rows = [row(n) for n in range(300)]
    for one in rows[:thinking]:
        one["expected"] = f"<think>Which is it?</think>{one['expected']}"

    findings = [one for one in findings_in(rows) if one.kind == "thought"]

    assert [(one.severity, one.count) for one in findings] == (
        [(severity, thinking)] if severity else []
    )


def test_ignored_kinds_are_not_reported(findings_in):
    assert findings_in([row(n) for n in range(10)], ignore=("size",)) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
        ("ghp_" + "a1" * 18, "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("password: hunter2hunter2", "secret"),
        ("the password is wrong", None),
        ("call +49 30 901820", "personal"),
        ("order 4111 1111 1111 1111", "personal"),
        ("order 4111 1111 1111 1112", None),
        ("IBAN DE89 3704 0044 0532 0130 00", "personal"),
        ("IBAN DE88 3704 0044 0532 0130 00", None),
        ("mail me@example.com", None),
        ("invoice 2026-11-25 over 1,250.00", None),
    ],
)
def test_secrets_and_personal_data_are_found_by_their_patterns(findings_in, text, kind):
    findings = [
        finding.kind for finding in findings_in([row(1) | {"input": text}], ignore=("size",))
    ]

    assert findings == ([kind] if kind else [])


def test_normalised_texts_are_equal_apart_from_case_and_punctuation():
    assert normalise_text("\n  Where's my CARD ?!") == normalise_text("where's my card")
    assert normalise_text("dont") != normalise_text("don't")
    assert normalise_text("?") == "?"


def test_the_verdict_on_a_file_counts_its_rows_and_leaks_need_a_gate(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps(row(n)) for n in range(5)))
    made = suite(gate := DataGate(line=1))
    tuned = replace(made.variants["new"], training_data=path)

    verdict = evaluate_data(made, gate, tuned)

    assert verdict.statement.values == {"file": "train.jsonl", "rows": 5}
    assert find_leaked_cases(made, tuned).case_ids == frozenset()
    assert find_leaked_cases(suite(), tuned).case_ids == frozenset()
    with pytest.raises(ValueError, match="new has no training data"):
        evaluate_data(made, gate, made.variants["new"])


def test_labels_of_one_kind_have_no_alternative_to_doubt(findings_in):
    found = findings_in([row(n, "refund") for n in range(60)], format=(LABELS,))

    assert "doubtful label" not in [finding.kind for finding in found]


def test_labels_beside_a_rare_one_have_no_alternative_to_doubt(findings_in):
    rows = [row(n, "refund") for n in range(58)] + [row(58, "billing"), row(59, "billing")]

    found = findings_in(rows, format=(LABELS,))

    kinds = [finding.kind for finding in found]
    assert "balance" in kinds
    assert "doubtful label" not in kinds


def test_labels_that_the_questions_predict_well_are_not_doubtful(findings_in):
    labels = LABELS.value
    rows = [
        {"input": f"{labels[n % 3]} {labels[n % 3]} {question(n)}", "expected": labels[n % 3]}
        for n in range(150)
    ]

    found = findings_in(rows, format=(LABELS,))

    assert "doubtful label" not in [finding.kind for finding in found]


def test_questions_without_a_word_predict_no_label(findings_in):
    rows = [{"input": "?" * (n + 1), "expected": LABELS.value[n % 3]} for n in range(60)]

    found = findings_in(rows, format=(LABELS,))

    assert "doubtful label" not in [finding.kind for finding in found]


def test_turns_around_a_tool_need_not_alternate(findings_in):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "b", "tool_call_id": "1"},
        {"role": "assistant", "content": "c"},
    ]

    kinds = [finding.kind for finding in findings_in([{"messages": turns}])]

    assert not [kind for kind in kinds if "turn" in kind]


def test_only_synthetic_rows_that_nobody_has_read_are_unverified(findings_in):
    marked = [
        row(1, synthetic=True), row(2, synthetic=True, verified_by="ann"), row(3, source="llm"),
    ]  # fmt: skip
    kinds = {finding.kind: finding.count for finding in findings_in([*marked, "[1, 2]"])}

    assert kinds["unverified"] >= 1
