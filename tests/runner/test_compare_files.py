"""Files of answers are compared as the accuracy gate of a suite compares variants."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.tables import every_row

from pytest_ftgate import compare, evaluate
from pytest_ftgate.errors import ConfigurationError, RepliesMissing, SuiteError
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.next_steps import step_text
from pytest_ftgate.reporting.notes import UNCHANGED
from pytest_ftgate.reporting.phrases import Relation, cases, doubt, relation


def test_equal_replies_pass_as_unchanged():
    result = compare(answer_rows(60), answer_rows(60))

    assert result.passed
    assert relation(result.verdicts[0].check) is Relation.UNCHANGED
    assert UNCHANGED in str(result)


def test_equal_scores_without_replies_are_not_taken_for_the_same_replies():
    scores = [{"id": n, "score": 1} for n in range(10)]

    assert compare(scores, [*scores]).outcome is Outcome.INCONCLUSIVE


def test_a_real_drop_of_one_of_several_candidates_fails_and_shows_its_cases():
    result = compare(answer_rows(200), [answer_rows(200), answer_rows(200, range(60))])

    assert [verdict.outcome for verdict in result.verdicts] == [Outcome.PASSED, Outcome.FAILED]
    assert result.outcome is Outcome.FAILED
    dropped = result.verdicts[1]
    check = dropped.check
    assert (check.n, check.before, check.after, check.regressed) == (200, 1.0, 0.7, 60)
    text = str(result)
    assert cases(dropped) in text
    assert "What is the word of number 0?" in text


def test_too_few_cases_for_a_limit_are_inconclusive_with_what_would_settle_it():
    result = compare(answer_rows(100), answer_rows(100, range(4)), max_drop=0.05)

    assert result.outcome is Outcome.INCONCLUSIVE
    (verdict,) = result.verdicts
    text = " ".join(str(result).split())
    assert relation(verdict.check) is Relation.LIKELY
    assert doubt(verdict.check) in text
    (more,) = (step for step in verdict.next if step.kind is StepKind.ADD_CASES)
    # A comparison of files has no suite that could hold a limit.
    assert more.values["as_option"]
    assert more.values["needed"] == verdict.check.needed
    assert f"{more.role}: {step_text(more)}" in text


def test_no_line_is_wider_than_the_screen():
    base = answer_rows(100, tags=lambda n: f"a rather long topic with number {n % 3}")
    worse = [{**row, "answer": "no " * 80} for row in base[:50]] + base[50:]

    lines = compare(base, worse).lines(verbosity=2)

    assert [line for line in lines if len(line) > 80] == []


@every_row(
    "expected, reply, scorer, rate",
    [
        ("4", "It is 4.", None, 1.0),
        (4, "4.0", None, 1.0),
        ("four", "It is four.", None, 0.0),
        ("four", "It is four.", "contains", 1.0),
        (True, "true", None, 1.0),
        (["four", "4"], "four", None, 1.0),
        ({"n": 4}, '{"n": 4}', "fields", 1.0),
        ('{"n": 4}', '{"n": 4}', "fields", 1.0),
        (4, "4.3", {"numeric": {"tolerance": 0.5}}, 1.0),
        ("four", "Four.", "choice", 1.0),
    ],
)
def test_replies_are_scored_by_a_rule_that_fits_or_is_named(expected, reply, scorer, rate):
    rows = [{"id": n, "expected": expected, "reply": reply} for n in range(60)]

    result = compare(rows, rows, scorer=scorer)

    assert result.verdicts[0].check.after == rate


@every_row(
    ("scorer", "hint"),
    [(None, ""), ("exact", " contains, or numeric"), ("contains", " similarity")],
)
def test_where_no_reply_is_right_another_rule_is_named(scorer, hint):
    rows = [{"id": n, "expected": "four", "reply": f"It is {n}."} for n in range(60)]
    result = compare(rows, [{**row, "reply": "five"} for row in rows], scorer=scorer)

    told = " ".join(str(result).split())
    assert f'no reply is right by "{scorer or "exact"}"' in told
    assert f"try --scorer{hint}" in told


def test_the_scores_of_the_files_count_unless_a_rule_is_named():
    base = answer_rows(60, exact_match=1)
    worse = answer_rows(60, exact_match=lambda n: n % 2)

    by_score, by_rule = compare(base, worse), compare(base, worse, scorer="exact")

    assert by_score.outcome is Outcome.FAILED
    assert 'scored by the files\' "exact_match"' in str(by_score)
    assert by_rule.passed


def test_scores_between_right_and_wrong_are_compared_as_graded():
    base = [{"id": n, "score": 0.8} for n in range(80)]
    worse = [{"id": n, "score": 0.2 + n % 2 / 10} for n in range(80)]

    result = compare(base, worse, max_drop=0.2)

    assert result.outcome is Outcome.FAILED
    assert result.verdicts[0].check.error is not None


def test_a_value_that_all_rows_have_is_compared_once():
    base = answer_rows(200, topic=lambda _: "sums")

    result = compare(base, answer_rows(200, range(60), topic=lambda _: "sums"), by="topic")

    assert result.verdicts[0].slices == ()
    assert "topic" not in " ".join(result.lines()).partition("note:")[0]


def test_each_value_of_a_column_is_compared_and_the_worst_is_named():
    base = answer_rows(200, topic=lambda n: ["sums", "words"][n % 2])
    worse = answer_rows(200, range(0, 60, 2), topic=lambda n: ["sums", "words"][n % 2])

    result = compare(base, worse, max_drop=0.2, by="topic")

    assert result.outcome is Outcome.FAILED
    worst = result.verdicts[0].slices[0]
    assert (worst.name, worst.state, worst.regressed, worst.n) == ("sums", "regressed", 30, 100)
    assert "topic: sums 100 % → 70 %" in str(result)


def test_missing_replies_cannot_pass_unseen():
    some = compare(answer_rows(100), answer_rows(100)[10:])

    assert some.outcome is Outcome.INCONCLUSIVE
    assert compare(answer_rows(100), answer_rows(100)[10:], paired_only=True).passed
    with pytest.raises(RepliesMissing, match=r"no reply to 60 of 100 cases; .* --paired-only"):
        compare(answer_rows(100), answer_rows(100)[60:])


def test_a_column_that_is_not_read_is_noted_with_its_file_unless_all_files_have_it():
    kinds = answer_rows(60, kind="x")

    assert compare(kinds, kinds).notes == ("not read: kind",)
    assert compare(answer_rows(60), kinds).notes == ("candidate-1: not read: kind",)


@every_row(
    ("count", "wrong", "limit", "outcome"),
    [
        (20, range(15), None, Outcome.FAILED),
        (20, range(15), 0.05, Outcome.FAILED),
        (20, range(2), None, Outcome.INCONCLUSIVE),
        (20, (), 0.05, Outcome.PASSED),
        (20, (), None, Outcome.PASSED),
        (3, range(2), None, Outcome.INCONCLUSIVE),
        (1, range(1), None, Outcome.INCONCLUSIVE),
    ],
)
def test_a_comparison_of_any_size_has_a_verdict(count, wrong, limit, outcome):
    result = compare(answer_rows(count), answer_rows(count, wrong), max_drop=limit)

    assert result.outcome is outcome
    assert f"{len(wrong)} of {count} case" in str(result)


@every_row(
    ("count", "shown"),
    [
        (20, "20 cases can rule out a drop of 35 points or more, no smaller; 69 would rule out 15"),
        (3, "3 cases cannot rule out a drop of any size; 69 would rule out 15, 141 would 10, 508"),
    ],
)
def test_few_cases_are_inconclusive_with_what_more_of_them_would_rule_out(count, shown):
    result = compare(answer_rows(count), answer_rows(count, [0]))

    assert shown in " ".join(str(result).split())
    assert result.verdicts[0].check.limit == 0.15


def test_a_suite_that_a_run_would_refuse_is_not_written(tmp_path):
    result = compare(answer_rows(3), answer_rows(3))

    with pytest.raises(
        ConfigurationError, match="--write: a run would refuse this suite: max_drop"
    ):
        result.write(tmp_path / "few.ftgate.yaml")
    assert [*tmp_path.iterdir()] == []


def test_the_report_of_a_comparison_advises_no_command_that_takes_a_suite():
    for wrong in (range(30), range(4)):
        result = compare(answer_rows(60), answer_rows(60, wrong))

        advised = {step.kind for verdict in result.report.verdicts for step in verdict.next}
        assert advised <= {StepKind.ADD_CASES}


def test_several_candidates_are_shown_in_one_table_first():
    result = compare(answer_rows(200), [answer_rows(200), answer_rows(200, range(60))])

    rows = [line.split() for line in result.lines()[1:4]]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("base", "100.0", "%"),
        ("candidate-1", "100.0", "passed"),
        ("candidate-2", "70.0", "failed"),
    ]


def test_the_expected_answers_may_be_in_a_file_of_their_own():
    replies = [{"id": row["id"], "reply": row["answer"]} for row in answer_rows(200, range(60))]
    right = [{"id": row["id"], "reply": row["answer"]} for row in answer_rows(200)]

    result = compare(right, replies, cases=answer_rows(200))

    assert (result.verdicts[0].check.before, result.verdicts[0].check.after) == (1.0, 0.7)


ROWS, SCORED = answer_rows(60), answer_rows(60, score=1)
WITHOUT = [{"id": n, "reply": "x", "kind": "a"} for n in range(20)]
ONE_SCORED = r"^base states scores and candidate-1 does not: .* \(--scorer exact"


@every_row(
    ("base", "candidate", "options", "told"),
    [
        (ROWS, ROWS, {"max_drop": 5}, r"for 5 points write 0\.05"),
        (ROWS, ROWS, {"scorer": "exakt"}, '--scorer: unknown score "exakt"; did you mean'),
        (WITHOUT, WITHOUT, {}, r"no expected answer and .*; not read: kind$"),
        (SCORED, ROWS, {}, ONE_SCORED),
    ],
)
def test_what_cannot_be_compared_is_an_error_with_a_remedy(base, candidate, options, told):
    with pytest.raises(ConfigurationError, match=told):
        compare(base, candidate, **options)


def test_an_expected_answer_that_a_rule_cannot_read_is_named_by_its_line(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", answer_rows(60))

    with pytest.raises(SuiteError, match=r'a\.jsonl:1: expected "word 0" is not a number'):
        compare(path, answer_rows(60), scorer="numeric")


def test_a_file_is_not_compared_with_itself(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", answer_rows(60, range(30)))
    (tmp_path / "same.jsonl").symlink_to(path)

    for candidate in (path, str(path), [tmp_path / "same.jsonl", answer_rows(60)]):
        with pytest.raises(
            ConfigurationError, match=r"a\.jsonl is base and candidate; name another"
        ):
            compare(path, candidate)
    with pytest.raises(ConfigurationError, match=r"a\.jsonl::answer are the same replies"):
        compare(path, f"{path}::answer")


def stated(result):
    """Return the only gated verdict of a run without what names the suite and the run."""
    (verdict,) = (one for one in json.loads(result.to_json())["verdicts"] if one["gated"])
    for key in ("suite", "line", "declared", "facts", "identity", "headline", "next"):
        verdict.pop(key, None)
    verdict["notes"] = [note for note in verdict["notes"] if "no reply to" not in note["text"]]
    for flip in verdict["flips"]:
        flip.pop("where")
    return verdict


def topic(n):
    return f"t{n % 3}"


@every_row(
    "base, candidate, options",
    [
        (answer_rows(120), answer_rows(120, range(9)), {"max_drop": 0.05}),
        (answer_rows(120, topic=topic), answer_rows(118, range(40), topic=topic), {"by": "topic"}),
        (
            answer_rows(90) * 3,
            [*answer_rows(90), *answer_rows(90, range(8)), *answer_rows(90, range(9))],
            {},
        ),
        (answer_rows(90) * 3, [*answer_rows(90), *answer_rows(30, range(8))], {"max_drop": 0.1}),
        (*([{"id": n, "score": (n + more) % 7 / 6} for n in range(90)] for more in (0, 1)), {}),
    ],
    ids=["inconclusive", "slices and missing replies", "repeats", "uneven repeats", "graded"],
)
def test_the_written_suite_has_the_same_verdict_to_the_digit(
    tmp_path, monkeypatch, base, candidate, options
):
    monkeypatch.chdir(tmp_path)
    files = {"base.jsonl": base, "tuned.jsonl": candidate}
    result = compare(
        *(write_rows(tmp_path / name, rows) for name, rows in files.items()), **options
    )
    result.write("kept.ftgate.yaml")

    assert stated(evaluate("kept.ftgate.yaml", rootdir=".")) == stated(result)


def test_a_suite_never_overwrites_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = compare(answer_rows(60), answer_rows(60))
    result.write("kept.ftgate.yaml")

    with pytest.raises(ConfigurationError, match=r"kept\.cases\.jsonl.* exists already"):
        result.write("kept.ftgate.yaml")
    with pytest.raises(ConfigurationError, match=r"ends in \.ftgate\.yaml"):
        result.write("kept.yaml")
