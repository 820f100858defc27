"""Judges in a run: their grades are found by the key of their rule."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ftgate_testing.judge_suites import suite_with_judge, write_rows

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.runner.planner import BuiltRequests
from pytest_ftgate.runner.scores import JudgeRunner
from pytest_ftgate.scoring.scores import score_replies

JUDGE = "{rubric: Is it polite?, model: {provider: anthropic, model: judge}}"
GOOD = Reply(text='{"reason": "so", "grade": "good"}')
BAD = Reply(text='{"reason": "so", "grade": "bad"}')


def replies_of(case_requests, reply=GOOD):
    return {case_request.request.fingerprint: reply for case_request in case_requests}


@dataclass
class Answers:
    """Stands in for the replies of a run: *answer* brings those to each group of requests."""

    answer: Callable[[Any], dict[str, Reply]] = replies_of

    def results(self, case_requests):
        return self.answer(case_requests)

    def checked_results(self, groups, suite):
        (case_requests,) = groups
        return self.answer(case_requests)


def grade_doubled_texts_otherwise(case_requests):
    """Grade "rude" and "sour sour" as good, "sour" and "rude rude" as bad."""
    grades = {"rude\n\nrude": BAD, "sour\n\nsour": GOOD, "rude": GOOD, "sour": BAD, "fine": GOOD}
    prompts = {one.request.fingerprint: one.request.messages[-1][1] for one in case_requests}
    return {
        fingerprint: next(grade for text, grade in grades.items() if text in prompt)
        for fingerprint, prompt in prompts.items()
    }


@pytest.mark.parametrize("copied", [deepcopy, replace])
def test_copied_cases_are_still_graded_by_the_judge_of_their_suite(tmp_path, copied):
    suite = suite_with_judge(tmp_path, JUDGE)
    variant = suite.variants["secret-lora"]
    asks = tuple(
        replace(ask, case=replace(ask.case, score=copied(ask.case.score)))
        for ask in task_requests(suite, variant, {})
    )
    judges = JudgeRunner(BuiltRequests({}), Answers())
    results = replies_of(asks, reply=Reply(text="please"))
    grades = judges.grades(suite, asks, results)
    scores = score_replies("secret-lora", asks, results, Path(), grades)

    assert [row.correct for row in scores.results.values()] == [1.0, 1.0]


def test_a_doubled_text_is_compared_with_the_grade_of_the_same_label(tmp_path):
    labels = [("c0", "fine", "good"), ("c0", "rude", "bad"), ("c1", "sour", "bad")]
    write_rows(
        tmp_path / "labels.jsonl",
        [{"case": case, "reply": reply, "grade": grade} for case, reply, grade in labels],
    )
    suite = suite_with_judge(tmp_path, JUDGE[:-1] + ", human: labels.jsonl}")
    judges = JudgeRunner(BuiltRequests({}), Answers(grade_doubled_texts_otherwise))
    (validation,) = judges.validations(suite)

    assert validation.padded == 2
    assert (validation.padded_up, validation.padded_down) == (1, 1)
