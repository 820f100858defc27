"""Training data: every kind of defect is found with its lines, and no secret is shown."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row
from ftgate_testing.training_rows import rows_of

from pytest_ftgate.gates.notes import Finding, FindingKind, Remedy, Severity, note, text_note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.training_data import (
    TrainingData,
    check_training_data,
    evaluate_data,
    find_leaked_cases,
    read_training_data,
    training_data_rules,
)
from pytest_ftgate.gates.training_data_checks import CaseLeaks, TrainingDataRules
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import ROW_EXAMPLE

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


def written(folder, rows):
    """Return the path of a training file of *rows*; a text is written as a line."""
    path = folder / "train.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def checked(data, *, cases=(), format=(), context=None, **limits):  # noqa: A002 - as the field
    """Return the findings in *data* by rules with some limits of the gate."""
    gate = DataGate(**limits)
    rules = TrainingDataRules(cases=cases, format=format, context=context, gate=gate)
    return check_training_data(data, rules)


def findings_in(rows, *, ignore=("size",), **rules):
    data = TrainingData(Path("train.jsonl"), tuple(rows_of(*rows)), {})
    return checked(data, ignore=ignore, **rules)


def lines_by_kind(findings):
    """Return the lines of each kind of finding."""
    lines: dict[str, list[int]] = {}
    for finding in findings:
        lines.setdefault(finding.kind, []).extend(finding.lines)
    return {kind: sorted(numbers) for kind, numbers in lines.items()}


def test_a_good_file_has_no_finding_and_an_ignored_kind_is_not_reported():
    rules = {"format": (LABELS,), "cases": (case(question(700)),), "ignore": ()}

    assert findings_in([row(n) for n in range(600)], **rules) == ()
    assert findings_in([row(n) for n in range(500)], ignore=()) == ()
    assert findings_in([row(n) for n in range(10)], ignore=("size",)) == ()


def test_planted_defects_are_all_found_with_their_lines(tmp_path):
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

    findings = checked(
        read_training_data(written(tmp_path, rows + planted)),
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


def test_a_small_file_has_a_finding():
    found = [findings_in([row(n) for n in range(count)], ignore=()) for count in (199, 200)]

    assert [[(one.kind, one.severity) for one in each] for each in found] == [
        [("size", Severity.ERROR)], []
    ]  # fmt: skip


def test_rows_without_an_answer_are_none_to_learn_from():
    rows = [row(1), row(2), {"input": "nothing to learn"}]

    (finding,) = findings_in(rows, min_rows=1234, ignore=())

    assert finding.message == note(FindingKind.FEW_ROWS, rows=2, wanted=1234)


def test_lines_that_cannot_be_read_are_one_finding_for_each_error(tmp_path):
    path = written(tmp_path, [row(1), "[1]", "{", "[2]"])
    findings = checked(read_training_data(path), ignore=("size",))

    assert findings == (
        Finding(
            kind="broken", severity=Severity.ERROR, count=2, lines=(2, 4),
            message=text_note(f"a training row is an object such as {ROW_EXAMPLE}"),
        ),
        Finding(
            kind="broken", severity=Severity.ERROR, count=1, lines=(3,),
            message=text_note(
                "not JSON: Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1); write a whole object, with keys and texts in "
                "double quotes"
            ),
        ),
    )  # fmt: skip


def test_a_file_of_another_kind_is_broken_as_a_whole(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("a")

    assert read_training_data(path) == TrainingData(
        path, (), {
            "training data: train.txt: .txt suffix; use .jsonl, .json, .csv or .yaml": (0,),
        },
    )  # fmt: skip


def test_a_file_is_read_again_only_if_its_time_or_its_size_has_changed(tmp_path):
    path = tmp_path / "train.jsonl"

    def read(text, second):
        path.write_text(json.dumps({"input": text}))
        os.utime(path, (second, second))
        return read_training_data(path)

    first = read("a", 1)

    assert read("b", 1) is first
    assert read("ab", 1).rows[0].example.input_text == "ab"
    assert read("bb", 2).rows[0].example.input_text == "bb"


def talk(*roles):
    """Return a row whose messages have these roles."""
    return {"messages": [{"role": role, "content": "some text"} for role in roles]}


@every_row(
    ("roles", "misplaced"),
    [
        (["user", "assistant"], False),
        (["system", "user", "assistant", "user", "assistant"], False),
        (["user", "user", "assistant"], True),
        (["assistant", "user", "assistant"], True),
        (["user", "assistant", "assistant"], True),
        (["user", "tool", "user", "assistant"], False),
    ],
)
def test_user_and_assistant_take_turns(roles, misplaced):
    findings = findings_in([talk(*roles)])

    assert [finding.kind for finding in findings] == (["roles"] if misplaced else [])


def test_turns_are_those_of_the_rows_that_are_followed_with_the_answer_as_the_last():
    (finding,) = findings_in([talk("user", "assistant") | {"expected": "x"}])

    assert finding.kind == "roles"

    rejected = talk("user", "user", "assistant")
    rejected["messages"][-1]["weight"] = 0

    assert findings_in([rejected]) == ()

    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "b", "tool_call_id": "1"},
        {"role": "assistant", "content": "c"},
    ]

    assert findings_in([{"messages": turns}]) == ()


def test_turns_out_of_order_are_one_error_with_their_lines():
    wrong = talk("user", "user", "assistant")
    rows = [wrong, row(1), wrong | {"id": "b"}]

    (finding,) = findings_in(rows, ignore=("size", "duplicate"))

    assert finding == Finding(
        kind="roles", severity=Severity.ERROR, count=2, lines=(1, 3),
        message=note(FindingKind.TURNS, rows=2), next=note(Remedy.JOIN_TURNS),
    )  # fmt: skip


def test_rows_longer_than_the_context_are_an_error():
    """Four characters count as a token, in each text of a row: prompt, question and answer."""

    def long(system, asked, answer):
        roles = {"system": system, "user": asked, "assistant": answer}
        return {"messages": [{"role": key, "content": "word" * n} for key, n in roles.items()]}

    rows = [long(400, 500, 101), row(1), long(400, 500, 100), long(1, 1, 1000)]
    ignore = ("size", "near duplicate", "conflict")

    (finding,) = findings_in(rows, ignore=ignore, context=1000)

    assert finding == Finding(
        kind="truncated", severity=Severity.ERROR, count=2, lines=(1, 4),
        message=note(FindingKind.TOO_LONG, rows=2, context=1000), next=note(Remedy.SHORTEN),
    )  # fmt: skip
    assert findings_in(rows, ignore=ignore) == ()


def test_a_variant_without_training_data_has_no_verdict():
    made = suite(gate := DataGate(line=1))

    with pytest.raises(ValueError, match="new has no training data"):
        evaluate_data(made, gate, made.variants["new"])


@every_row(
    ("keys", "unverified"),
    [
        ({}, False),
        ({"synthetic": True}, True),
        ({"synthetic": False}, False),
        ({"generated_by": "a model"}, True),
        ({"source": "LLM"}, True),
        ({"source": "synthetic"}, True),
        ({"source": "generated"}, True),
        ({"source": "model"}, True),
        ({"source": "support tickets"}, False),
        ({"source": None}, False),
        ({"source": "llm", "verified_by": "ann"}, False),
        ({"source": "llm", "verified_by": ""}, True),
    ],
)
def test_only_synthetic_rows_that_nobody_has_read_are_unverified(keys, unverified):
    findings = findings_in([row(1, **keys)])

    assert [finding.kind for finding in findings] == (["unverified"] if unverified else [])


def test_unverified_rows_are_one_warning_with_their_lines():
    rows = [row(1, synthetic=True), row(2), row(3, source="llm")]

    (finding,) = findings_in(rows)

    assert finding == Finding(
        kind="unverified", severity=Severity.WARNING, count=2, lines=(1, 3),
        message=note(FindingKind.UNVERIFIED, rows=2), next=note(Remedy.REVIEW),
    )  # fmt: skip


# --- the gate ------------------------------------------------------------------------------------


def tuned_on(folder, rows, gate, **changes):
    """Return a suite with *gate*, and a variant that was trained on *rows*."""
    made = replace(suite(*([gate] if gate else [])), **changes)
    return made, replace(made.variants["new"], training_data=written(folder, rows))


def test_a_file_with_errors_fails_with_the_remedy_of_each(tmp_path):
    gate = DataGate(line=7)
    made, tuned = tuned_on(tmp_path, [row(1), talk("user", "user", "assistant")], gate)

    verdict = evaluate_data(made, gate, tuned)

    remedies = [
        Remedy.SHOW_EXAMPLES, Remedy.WRITE_AS_REPLIES, Remedy.ADD_LABELS, Remedy.JOIN_TURNS,
    ]  # fmt: skip
    data, rules = read_training_data(tuned.training_data), training_data_rules(made, gate, tuned)
    assert verdict == Verdict(
        suite="suite.ftgate.yaml", line=7, gate="data", variant="new", outcome=Outcome.FAILED,
        statement=Statement(StatementKind.TRAINING_DATA, {"file": "train.jsonl", "rows": 2}),
        findings=check_training_data(data, rules),
        next=tuple(NextStep(StepKind.FIX_TRAINING_DATA, {"remedy": kind}) for kind in remedies),
    )  # fmt: skip
    assert [finding.next for finding in verdict.findings] == [*map(note, remedies)]


def test_a_file_without_an_error_passes(tmp_path):
    gate = DataGate(line=7, min_rows=1)
    rows = [{"input": "a b", "expected": "refund"}, {"input": "c d", "expected": "late_delivery"}]
    made, tuned = tuned_on(tmp_path, rows, gate)

    verdict = evaluate_data(made, gate, tuned)

    assert (verdict.outcome, verdict.next) == (Outcome.PASSED, ())
    assert not verdict.findings


def test_a_verdict_lists_two_hundred_lines_and_counts_all(tmp_path):
    gate = DataGate(min_rows=1)
    rows = [{"input": "the same", "expected": "refund"} for _ in range(202)]
    cases = tuple(case("the same", f"c{n}") for n in range(201))
    made, tuned = tuned_on(tmp_path, rows, gate, cases=cases)

    findings = {one.kind: one for one in evaluate_data(made, gate, tuned).findings}

    assert (findings["duplicate"].count, findings["duplicate"].lines) == (
        201, tuple(range(2, 202)),
    )  # fmt: skip
    assert (findings["leak"].count, findings["leak"].cases) == (
        201, tuple(f"c{n}" for n in range(200)),
    )  # fmt: skip


def test_the_rules_of_a_variant_are_those_of_its_suite_and_of_its_model():
    marks, gate = (("[t]", "[/t]"),), DataGate()
    made = suite(gate)
    made = replace(
        made,
        cases=(asked := case("a"),),
        holdout=(held := case("b", "c2"),),
        reply=replace(made.reply, thoughts=marks),
        path=Path("/home/s.ftgate.yaml"),
    )
    variant = made.variants["new"]

    rules = training_data_rules(made, gate, variant)

    assert rules == TrainingDataRules(
        cases=(asked, held), format=made.reply.format, thoughts=marks, folder=Path("/home"),
        gate=gate, context=2048,
    )  # fmt: skip
    shorter, longer = replace(variant, runtime={"context": 512}), replace(gate, context=9000)
    assert training_data_rules(made, gate, shorter).context == 512
    assert training_data_rules(made, longer, shorter).context == 9000
    assert training_data_rules(made, gate, replace(variant, provider="openai")).context is None


def test_the_cases_that_a_variant_was_trained_on_are_found_by_the_gate(tmp_path):
    rows = [{"input": "one two three four", "expected": "refund"}]
    cases = (case("one two three", "near"), case("One two three four!", "exact"))

    made, tuned = tuned_on(tmp_path, rows, DataGate(), cases=cases)
    assert find_leaked_cases(made, tuned).case_ids == {"exact"}
    made, tuned = tuned_on(tmp_path, rows, None, cases=cases)
    assert find_leaked_cases(made, tuned) == CaseLeaks({}, {})
    made = suite(DataGate())
    assert find_leaked_cases(made, made.variants["new"]) == CaseLeaks({}, {})
