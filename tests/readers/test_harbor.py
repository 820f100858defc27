"""Jobs of Harbor are read: rewards, repeats, failures of the agent and of others, traces."""

from __future__ import annotations

import pytest
from ftgate_testing.agent_files import harbor_job, harbor_trial, write_document
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers

TRACE = {
    "schema_version": "ATIF-v1.6",
    "steps": [
        {"step_id": 1, "source": "user", "message": "Fill the form."},
        {
            "step_id": 2,
            "source": "agent",
            "message": "",
            "tool_calls": [
                {"function_name": "Skill", "arguments": {"skill": "pdf"}},
                {"function_name": "Bash", "arguments": {"command": "ls"}},
            ],
        },
    ],
}


def read(path, **columns):
    return read_answers(path, Columns(**columns))


def test_the_trials_at_a_task_are_repeats_with_what_they_cost(tmp_path):
    job = harbor_job(tmp_path / "job", {"a": [1.0, 0.0], "b": [0.5]})
    write_document(job / "a__0000000" / "agent" / "trajectory.json", TRACE)

    file = read(job)

    assert (file.tool, file.unit, file.notes) == ("Harbor job", "task", ())
    assert [(row.id, row.score) for row in file.rows] == [("a", 1.0), ("a", 0.0), ("b", 0.5)]
    figures = {"cost_usd": 0.25, "seconds": 90.0, "model": "anthropic/claude-sonnet-4-5"}
    tokens = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
    facts = RunFacts(status="completed", **figures, **tokens)
    assert file.rows[1].run == facts
    assert (file.rows[0].run.tool_calls, file.rows[0].run.uses) == (2, ("pdf",))


def test_a_trial_that_was_copied_is_one_run(tmp_path):
    job = harbor_job(tmp_path / "job", {"a": [1.0, 0.0]})
    for copy in ("a__copied1", "a__copied2"):
        write_document(job / copy / "result.json", harbor_trial("a", 1.0, id="one"))

    assert [row.score for row in read(job).rows] == [1.0, 0.0, 1.0]


REWARDED = {"verifier_result": {"rewards": {"reward": 1.0}}}
NO_REWARD = {"verifier_result": None, "exception_info": None}


@every_row("outcome, more, score", [
    ("AgentTimeoutError", {}, 0.0),
    # What a verifier found after the agent ran out of time stands.
    ("AgentTimeoutError", REWARDED, 1.0),
    ("EnvironmentStartTimeoutError", {}, None),
    ("VerifierTimeoutError", REWARDED, None),
    ("ErrorOfTomorrow", REWARDED, None),
    (1.0, NO_REWARD, None),
    (1.0, {"step_results": [{"exception_info": {"exception_type": "HealthcheckError"}}]}, None),
])  # fmt: skip
def test_only_a_failure_of_the_agent_itself_is_wrong(tmp_path, outcome, more, score):
    write_document(tmp_path / "a__1" / "result.json", harbor_trial("a", outcome, **more))

    file = read(tmp_path)

    assert file.rows[0].score == score
    assert len(file.notes) == (score is None)


def test_a_result_that_states_the_meaning_of_its_exception_is_followed(tmp_path):
    policy = {"has_valid_reward": True}
    exception = {"exception_type": "ErrorOfTomorrow", "policy": policy}
    trial = harbor_trial("a", 1.0, exception_info=exception)
    write_document(tmp_path / "a__1" / "result.json", trial)

    assert read(tmp_path).rows[0].score == 1.0


def test_the_cost_of_a_trial_in_steps_is_their_sum(tmp_path):
    step = harbor_trial("a", 1.0)
    trial = harbor_trial("a", 1.0, agent_result=None, step_results=[step, step])
    write_document(tmp_path / "a__1" / "result.json", trial)

    run = read(tmp_path).rows[0].run

    assert (run.cost_usd, run.total_tokens, run.seconds) == (0.5, 2400, 180.0)


def test_another_reward_is_read_by_its_name(tmp_path):
    rewards = {"rewards": {"reward": 1.0, "style": 0.25}}
    trial = harbor_trial("a", 1.0, verifier_result=rewards)
    write_document(tmp_path / "a__1" / "result.json", trial)

    assert read(tmp_path, score="style").rows[0].score == 0.25
    assert read(tmp_path).notes == ("scores not read: style (--score names one)",)


@pytest.mark.parametrize("stated", [{}, {"path": "tasks/a"}, {"name": "org/a"}])
def test_a_trial_without_a_result_is_a_missing_run_of_its_task(tmp_path, stated):
    job = harbor_job(tmp_path / "job", {"b": [1.0]})
    write_document(job / "a__1" / "result.json", harbor_trial("org/a", 1.0))
    write_document(job / "a__2" / "config.json", {"task": stated, "agent": {"name": "other"}})

    found = read(job)

    scores = [(row.id, row.score) for row in found.rows]
    assert scores == [("org/a", 1.0), ("b", 1.0), ("org/a", None)]
    (told,) = found.notes
    assert told == "1 of 3 runs counts as missing, not as wrong: not ended, no result.json (1)"


@every_row(
    ("second", "usd"),
    [
        ({}, None),
        ({"cost_usd": None}, None),
        ({"cost_usd": 0, "n_input_tokens": 9, "n_output_tokens": 1}, None),
        ({"cost_usd": 0, "n_input_tokens": 0, "n_output_tokens": 0}, 0.25),
    ],
)
def test_the_cost_of_a_trial_is_unknown_if_a_step_lacks_it_or_has_tokens_for_nothing(
    tmp_path, second, usd
):
    steps = [{"agent_result": {"cost_usd": 0.25}}, {"agent_result": second}]
    trial = harbor_trial("a", 1.0, agent_result=None, step_results=steps)
    write_document(tmp_path / "a__0000000" / "result.json", trial)

    assert read(tmp_path).rows[0].run.cost_usd == usd


def test_a_trial_that_is_said_to_cost_nothing_has_an_unknown_cost(tmp_path):
    trial = harbor_trial("a", 1.0, agent_result={"cost_usd": 0.0})
    write_document(tmp_path / "a__0000000" / "result.json", trial)

    assert read(tmp_path).rows[0].run.cost_usd is None


def test_a_job_without_a_trial_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"job in? ?.*no trial has ended"):
        read(harbor_job(tmp_path / "job", {}))


def test_a_folder_of_jobs_says_which_to_name(tmp_path):
    for name in ("one", "two"):
        harbor_job(tmp_path / name, {"a": [1.0]})

    with pytest.raises(ConfigurationError, match=r"holds jobs of Harbor; name one of .*one, .*two"):
        read(tmp_path)


def test_the_summary_of_a_job_says_to_name_its_folder(tmp_path):
    job = harbor_job(tmp_path / "job", {"a": [1.0]})

    with pytest.raises(
        ConfigurationError, match=r"sums up a job of Harbor; name its folder: .*job$"
    ):
        read(job / "result.json")


def test_of_a_job_of_several_models_one_is_named(tmp_path):
    job = harbor_job(tmp_path / "job", {"a": [1.0]})
    info = {"name": "codex", "model_info": {"name": "gpt-5", "provider": None}}
    write_document(job / "a__x" / "result.json", harbor_trial("a", 0.0, agent_info=info))

    with pytest.raises(ConfigurationError, match=r'holds 2 agents; .*"[^"]*job::codex gpt-5"'):
        read(job)
    assert [row.score for row in read(f"{job}::gpt-5").rows] == [0.0]


def test_a_result_of_a_later_schema_says_what_to_do(tmp_path):
    trial = harbor_trial("a", 1.0, schema_version=2)
    write_document(tmp_path / "a__1" / "result.json", trial)

    with pytest.raises(ConfigurationError, match="has schema_version 2, and 1 can be read; update"):
        read(tmp_path)
