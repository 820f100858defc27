"""A team holds an agent to what its runs cost and take, on few tasks with several runs each."""

from __future__ import annotations

import json
import sys

import pytest

from pytest_ftgate.results.run import node_name, read_run

THESE = "accuracy: {claim: these_tasks, max_drop: 0.5}"
#: A program that takes more in later runs and later tasks; *{facts}* is what it states.
AGENT = """\
import json, sys
asked = json.load(sys.stdin)
run, task = asked["run"], int(asked["id"][1:])
print("done", asked["id"], run)
print(json.dumps({{"reward": int({reward}), "text": f"{{task}} {{run}}", **({facts})}}))
"""
COSTS = '{"cost_usd": 0.2 + 0.01 * run + 0.02 * task}'


@pytest.fixture
def agents(desk):
    """Evaluate agents, of which each has rewards and facts as code, and read the record.

    They are recorded, or *run* as programs.
    """

    def evaluate(gates, *args, tasks=8, runs=5, run=False, **programs):
        desk.write_rows("tasks.jsonl", [{"id": f"t{n}", "input": f"do {n}"} for n in range(tasks)])
        lines = ["cases: tasks.jsonl", f"repeats: {runs}", "reply: {score: recorded}", "variants:"]
        for name, (reward, facts) in programs.items():
            if run:
                code = AGENT.format(reward=reward, facts=facts)
                desk.path(f"{name}.py").write_text(code, "utf-8")
                started = json.dumps([sys.executable, f"{name}.py"])
                command = f"{{run: {started}, files: [{name}.py]}}"
                lines.append(f"  {name}: {{provider: command, command: {command}}}")
            else:
                rows = recorded_rows(reward, facts, tasks, runs)
                desk.write_rows(f"{name}.jsonl", [*rows])
                lines.append(f"  {name}: {{provider: recorded, replies: {name}.jsonl}}")
        desk.path("agent.ftgate.yaml").write_text("\n".join([*lines, f"gates: {gates}", ""]))
        return judged(desk, *args)

    return evaluate


def recorded_rows(reward, facts, tasks, runs):
    """Yield a line for each run; *reward* and *facts* are code of its numbers."""
    for task in range(tasks):
        for run in range(1, runs + 1):
            values = {"task": task, "run": run}
            stated = dict(eval(facts, values))
            usage = {key: stated.pop(key) for key in ("input", "output") if key in stated}
            row = {"id": f"t{task}", "text": f"{task} {run}", "usage": usage, "run": stated}
            yield {**row, "score": int(eval(reward, values))}


def judged(desk, *args):
    result = desk.run("--ftgate-json=run.json", *args)
    verdicts = {node_name(verdict): verdict for verdict in read_run(desk.path("run.json")).verdicts}
    return result, verdicts


def said(result):
    return " ".join(result.stdout.str().split())


def test_a_success_that_costs_less_than_its_limit_passes_and_one_that_costs_more_fails(agents):
    gates = f"{{{THESE}, cost: {{max_usd_per_success: 0.50}}}}"
    dear = COSTS.replace("0.2 ", "0.6 ")
    result, verdicts = agents(gates, run=True, current=("run != 1", COSTS), dear=("run != 1", dear))

    assert str(verdicts["cost[current]"].outcome) == "passed"
    assert str(verdicts["cost[dear]"].outcome) == "failed"
    # Mean costs of 0.30 and 0.70, and four of five runs succeed.
    assert verdicts["cost[current]"].check.after == pytest.approx(0.375)
    assert "cost per success 0.875 USD" in said(result)
    assert "limit 0.50 USD" in said(result)


def test_a_rise_of_the_cost_per_success_counts_fewer_successes_too(agents):
    gates = f"{{{THESE}, cost: {{max_usd_per_success: 9, max_rise: 0.2}}}}"
    result, verdicts = agents(gates, current=("run != 1", COSTS), new=("run > 3", COSTS))

    (rise,) = [check for check in verdicts["cost[new]"].checks if check.before is not None]
    assert rise.rise == pytest.approx(1.0)
    assert str(rise.outcome) == "failed"
    assert "cost per success up 100 %" in said(result)


def test_without_a_success_the_gate_fails_and_says_so(agents):
    gates = f"{{{THESE}, cost: {{max_usd_per_success: 0.50}}}}"
    result, verdicts = agents(gates, current=("False", COSTS))

    assert str(verdicts["cost[current]"].outcome) == "failed"
    assert "cost per success over 2.42 USD, limit 0.50 USD; no run succeeded" in said(result)


def test_usage_names_what_is_over_its_limit_in_each_report(agents, desk):
    facts = '{"input": 900 + run, "output": 100, "tool_calls": 4 + task % 2, "seconds": 60 + run}'
    limits = "max_tokens_per_task: 900, max_seconds_per_task: 70, max_tool_calls_per_task: 4"
    files = ("--ftgate-html=run.html", "--ftgate-markdown=run.md")
    gates = f"{{{THESE}, usage: {{{limits}}}}}"
    result, verdicts = agents(gates, *files, current=("True", facts))

    units = {check.unit: str(check.outcome) for check in verdicts["usage[current]"].checks}
    assert units == {"tokens": "failed", "seconds": "passed", "tool_calls": "failed"}
    page = desk.path("run.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for report in (said(result), page, desk.path("run.md").read_text("utf-8")):
        assert "tokens of a run 1,003 tokens" in report
        assert "limit 900 tokens" in report
    assert "tool calls of a run 4.5 calls" in said(result)


def test_a_rise_alone_limits_all_that_both_sides_state(agents):
    more = '{"tool_calls": 6 + task, "input": 10, "output": run}'
    known = '{"tool_calls": 3 + task, "input": 10, "output": run}'
    gates = f"{{{THESE}, usage: {{max_rise: 0.2}}}}"
    _, verdicts = agents(gates, current=("True", known), new=("True", more))

    rises = {check.unit: str(check.outcome) for check in verdicts["usage[new]"].checks}
    assert (rises["tokens"], rises["tool_calls"]) == ("passed", "failed")


def test_the_repeats_that_few_runs_need_are_named_and_settle_the_gate(agents):
    gates = f"{{{THESE}, cost: {{max_usd_per_success: 0.50}}}}"
    program = ("True", COSTS)
    result, verdicts = agents(gates, runs=3, run=True, current=program)
    assert str(verdicts["cost[current]"].outcome) == "inconclusive"
    assert "24 runs; at least 30 are needed" in said(result)
    assert "set repeats: 4" in said(result)

    _, verdicts = agents(gates, runs=4, run=True, current=program)

    assert str(verdicts["cost[current]"].outcome) == "passed"


def test_few_tasks_pass_as_they_are_with_the_claim_that_is_named(agents):
    result, _ = agents("{cost: {max_usd_per_success: 0.50}}", current=("True", COSTS))

    assert "8 tasks; at least 30 are needed" in said(result)
    assert "write claim: these_tasks under accuracy" in said(result)


def test_observed_values_decide_with_few_runs_where_the_suite_says_so(agents):
    gates = "{cost: {max_usd_per_success: 0.50, evidence: point}}"
    result, _ = agents(gates, tasks=3, runs=1, current=("True", COSTS))

    assert result.ret == 0


@pytest.mark.parametrize(
    ("limit", "key"),
    [("cost: {max_usd_per_success: 0.5}", "cost_usd"), ("usage: {max_seconds_per_task: 60}", "")],
)
def test_recorded_runs_that_state_nothing_are_missing_until_they_state_it(desk, limit, key):
    key = key or "seconds"
    rows = [{"id": f"t{n}", "text": f"{n} {r}", "score": 1} for n in range(8) for r in range(5)]
    desk.write_rows("tasks.jsonl", [{"id": f"t{n}", "input": "x"} for n in range(8)])
    desk.write_rows("runs.jsonl", rows)
    desk.path("agent.ftgate.yaml").write_text(
        "cases: tasks.jsonl\nrepeats: 5\nreply: {score: recorded}\n"
        "variants: {current: {provider: recorded, replies: runs.jsonl}}\n"
        f"gates: {{{THESE}, {limit}}}\n"
    )
    result, _ = judged(desk)
    assert f"state {key} of 40 runs runs.jsonl" in said(result)

    stated = [{**row, "run": {key: 0.1 + 0.01 * n}} for n, row in enumerate(rows)]
    desk.write_rows("runs.jsonl", stated)

    result, verdicts = judged(desk)
    assert result.ret == 0
    assert verdicts[f"{limit.partition(':')[0]}[current]"].check.n == 40


def test_a_prompt_with_prices_has_a_cost_per_success_as_well(desk):
    desk.write_cases()
    rows = [
        {"id": f"t{n:03}", "text": "billing", "usage": {"input": 100 + n, "output": 10}}
        for n in range(desk.cases)
    ]
    desk.write_rows("current.jsonl", rows)
    desk.suite_of(
        {"current": "{provider: recorded, replies: current.jsonl, usd_per_1m_input: 1000, "
         "usd_per_1m_output: 1000}"},
        "{cost: {max_usd_per_success: 0.20}}",
    )  # fmt: skip

    result, verdicts = judged(desk)

    # A request costs 0.16 USD on the average, and half of the replies are right.
    assert verdicts["cost[current]"].check.after == pytest.approx(0.319)
    assert result.ret == 1
