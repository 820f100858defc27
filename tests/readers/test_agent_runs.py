"""Figures, skills and reasons that a runner of agents states for a run."""

from __future__ import annotations

import math

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import (
    RunFacts,
    document_in,
    measured,
    missing_note,
    seconds_between,
    skills_read,
    stated_amount,
    stated_run,
)


@every_row("value", [None, True, "3", -1, math.nan, math.inf, 10**400, 1e300, [1]])
def test_what_is_no_amount_is_not_stated(value):
    assert stated_amount(value) is None


def test_a_cost_may_be_zero_and_tokens_and_times_of_zero_were_not_measured():
    assert (stated_amount(0), measured(0), measured(2)) == (0.0, None, 2.0)


def test_the_total_of_tokens_is_the_sum_unless_the_file_states_it():
    assert stated_run(tokens=(10, 5)).total_tokens == 15
    assert stated_run(tokens=(10, 5, 18)).total_tokens == 18
    assert stated_run(tokens=(0, None)) == RunFacts()


def test_of_one_part_of_the_tokens_the_total_is_unknown():
    assert stated_run(tokens=(None, 5)) == RunFacts(output_tokens=5)


@every_row("start, end, seconds", [
    ("2026-10-01T10:00:00Z", "2026-10-01T10:00:02.5+00:00", 2.5),
    # A clock that was set back, a time that is none, and times in different forms.
    ("2026-10-01T10:00:02Z", "2026-10-01T10:00:00Z", None),
    ("2026-10-01T10:00:00Z", None, None),
    ("2026-10-01T10:00:00", "2026-10-01T10:00:02Z", None),
])  # fmt: skip
def test_seconds_lie_between_two_times(start, end, seconds):
    assert seconds_between(start, end) == seconds


@every_row("tool, arguments, names", [
    ("Skill", {"skill": "pdf"}, ("pdf",)),
    ("Skill", {"command": "pdf"}, ("pdf",)),
    ("Read", {"file_path": "/root/.claude/skills/pdf/SKILL.md"}, ("pdf",)),
    ("powershell", {"command": "type C:\\skills\\my-pdf\\SKILL.md"}, ("my-pdf",)),
    ("Bash", {"command": "ls skills/pdf"}, ()),
    ("Write", {"file_path": "skills/pdf/SKILL.md"}, ()),
    ("Skill", None, ()),
])  # fmt: skip
def test_a_skill_is_read_by_its_tool_or_by_its_file(tool, arguments, names):
    assert skills_read([(tool, arguments)] * 2) == names


def test_the_reasons_of_missing_runs_are_counted_and_cut():
    reasons = ["a" * 50] * 2 + [*"bcdef"]

    (said,) = missing_note([*reasons, *[""] * 33])

    shown = f"{'a' * 40} (2), b (1), c (1), d (1), …"
    assert said == f"7 of 40 runs count as missing, not as wrong: {shown}"
    assert [*missing_note([""])] == []


@every_row("content, said", [
    ('{"a": ', "is not JSON"), ("[1]", "holds no JSON object"), ("[" * 9**5, "is not JSON"),
])  # fmt: skip
def test_a_file_that_is_no_object_is_named(tmp_path, content, said):
    path = tmp_path / "result.json"
    path.write_text(content, "utf-8")

    with pytest.raises(ConfigurationError, match=f"result.json {said}"):
        document_in(path)
