"""Whoever does what a red build says gets a green one, or the answer that it promises."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from threading import Lock

import pytest
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.tables import heavy

from pytest_ftgate.cli.main import main
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.reporting.next_steps import step_command
from pytest_ftgate.results.run import node_name, read_run

SUITE, RUN = "tickets.ftgate.yaml", "run.json"
DROP = "{accuracy: {max_drop: 0.05}}"
RIGHT = "def test_it(case, reply):\n    assert reply.text == case.expected\n"
#: A function that fails for the first ten cases as long as a file is missing.
DOWN_AT_FIRST = """\
from pathlib import Path

def answer(case):
    if case.id < "t010" and not Path(__file__).with_name("up").exists():
        raise OSError("the server is down")
    return case.expected
"""
#: The steps that a test of another file follows, and those that no test can follow to the end, as
#: another training run or rubric promises nothing: these with the test that reaches them.
ELSEWHERE = {
    StepKind.CHECK_CAUSE: "test_endings.py::test_a_model_that_answers_and_does_not_end_has_a_cause"
    "_and_needs_no_more_tokens",
    StepKind.CHECK_IDENTITY: "test_forgetting.py::test_a_tuned_model_that_did_not_answer_passes"
    "_once_its_name_is_requested",
    StepKind.IMPROVE_JUDGE: "test_judge.py::test_a_better_judge_settles_what_one_that_is_not_fit"
    "_left_open",
    StepKind.KEEP_THOUGHTS: "test_thoughts.py::test_thoughts_that_may_go_pass_once_their_limit_is"
    "_left_out",
    StepKind.RECORD_USES: "test_runs_of_agents.py::test_without_a_trace_the_use_of_a_skill_is_open"
    "_until_it_is_recorded",
    StepKind.LABEL: "test_inputs.py::test_labels_of_what_differs_lead_from_an_open_gate_to_a_passed"
    "_one",
    StepKind.LOWER_USAGE: "test_cost.py::test_a_cheaper_model_passes_the_limit_that_a_dear_one"
    "_failed",
    StepKind.REQUEST_BOTH_AGAIN: "test_drift.py::test_the_command_for_a_drifted_baseline_compares"
    "_replies_of_one_day",
    StepKind.REPEAT_RUNS: "test_limits_of_runs.py::test_the_repeats_that_few_runs_need_are_named"
    "_and_settle_the_gate",
    StepKind.STATE_AMOUNT: "test_limits_of_runs.py::test_recorded_runs_that_state_nothing_are"
    "_missing_until_they_state_it",
    StepKind.SET_MAX_TOKENS: "test_cost.py::test_the_max_tokens_that_an_open_cost_names_passes",
    StepKind.SETTLE_SKILL: "test_forgetting.py::test_a_skill_that_stays_open_passes_with_the_wider"
    "_margin_that_is_advised",
    StepKind.TRAIN_AGAIN: "test_forgetting.py::test_a_loss_planted_in_one_skill_is_found_in_its"
    "_family_and_nowhere_else",
}
#: The steps that the tests of this file follow, and those that the current one has read.
FOLLOWED, read = set(), set()


def follows(*kinds):
    """Declare that a test follows steps of these *kinds*."""

    def declare(test):
        FOLLOWED.update(kinds)
        test.kinds = set(kinds)
        return test

    return declare


@pytest.fixture(autouse=True)
def _reads_what_it_declares(request):
    read.clear()
    yield
    assert getattr(request.function, "kinds", set()) <= read


def judge(desk, *args):
    return desk.run(f"--ftgate-json={RUN}", *args)


def verdict_of(desk, gate):
    (found,) = (v for v in read_run(desk.path(RUN)).verdicts if node_name(v) == gate)
    return found


def outcome(desk, gate):
    return str(verdict_of(desk, gate).outcome)


def kinds(desk, gate):
    return [step.kind for step in verdict_of(desk, gate).next]


def step_of(desk, gate, kind):
    """Return the step of this *kind* of the last run."""
    read.add(kind)
    (step,) = (step for step in verdict_of(desk, gate).next if step.kind is kind)
    return step


def red(desk, gate, kind):
    """Run the gates, which do not pass; return the values of the step of this *kind*."""
    assert judge(desk).ret == 1
    return step_of(desk, gate, kind).values


def follow(desk, step, printed):
    """Run the command of *step*, which the run *printed*."""
    command = step_command(step)
    assert command in printed.stdout.str()
    assert command.startswith("pytest --ftgate ")
    return judge(desk, *shlex.split(command)[2:])


def edit_at(desk, where, before, after):
    """Replace *before* in the line that *where* names, and nowhere else; "" stands before it."""
    name, _, line = where.rpartition(":")
    lines, index = desk.path(name).read_text("utf-8").splitlines(), int(line) - 1
    assert before in lines[index]
    lines[index] = lines[index].replace(before, after, 1)
    desk.path(name).write_text("\n".join(lines) + "\n", "utf-8")


def take_refunds_for_billing(desk, variant, count):
    """Let *variant* say billing to each of the first *count* cases."""
    texts = ("billing" if n < count else desk.label(n) for n in range(desk.cases))
    desk.write_rows(
        f"{variant}.jsonl", [{"id": f"t{n:03}", "text": t} for n, t in enumerate(texts)]
    )


def test_every_kind_of_step_is_followed_here_or_reached_by_a_test_that_exists(request):
    assert FOLLOWED.isdisjoint(ELSEWHERE)
    assert {*StepKind} == FOLLOWED | {*ELSEWHERE}
    for test in ELSEWHERE.values():
        name, _, function = test.partition("::")
        text = request.path.with_name(name).read_text("utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), test


# What to fix ------------------------------------------------------------------------------------


@follows(StepKind.FIX_CASES)
def test_cases_that_are_fixed_pass(desk):
    desk.suite(DROP, current=2, draft=5)
    values = red(desk, "accuracy[draft]", StepKind.FIX_CASES)
    assert values["cases"] == "t002, t003, t004"

    desk.replies("draft", wrong=2)

    assert judge(desk).ret == 0


@follows(StepKind.FIX_LABEL)
def test_a_label_that_is_told_from_the_other_one_passes(desk):
    desk.suite("{accuracy: {min: 0.85}}", current=0)
    take_refunds_for_billing(desk, "current", 60)
    values = red(desk, "accuracy[current]", StepKind.FIX_LABEL)
    assert (values["label"], values["taken_for"], values["replies"]) == ("refund", "billing", 30)

    desk.replies("current")

    assert judge(desk).ret == 0


@follows(StepKind.FIX_PART)
def test_a_part_that_is_fixed_passes(desk):
    desk.cases = 1000
    desk.suite("{accuracy: {max_drop: 0.10, slices: [label]}}", current=0, draft=0)
    take_refunds_for_billing(desk, "draft", 100)
    values = red(desk, "accuracy[draft]", StepKind.FIX_PART)
    assert (values["kind"], values["name"], values["regressed"]) == ("label", "refund", 50)

    desk.replies("draft")

    assert judge(desk).ret == 0


@follows(StepKind.FIX_FORMAT)
def test_replies_in_the_right_format_pass(desk):
    desk.suite("{format: {max_drop: 0.05}}", current=0, new=0)
    desk.replies("new", wrong=30, said="```\nbilling\n```")
    values = red(desk, "format[new]", StepKind.FIX_FORMAT)
    assert (values["format_error"], values["replies"]) == ("fenced", 30)

    desk.replies("new")

    assert judge(desk).ret == 0


@follows(StepKind.RAISE_MAX_TOKENS)
@pytest.mark.parametrize("declared", ["reply", heavy("variant")])
def test_replies_that_were_cut_off_pass_with_more_tokens(desk, declared):
    def answer(request):
        number = int(re.search(r"\d+", request["messages"][-1]["content"])[0])
        if request["model"] == "long" and number < 30 and request["max_tokens"] < 20:
            return Said("Let me see, this is", stop="length")
        return Said(desk.label(number))

    with chat_server(answer) as server:
        current = f'{{provider: openai-compatible, base_url: "{server.url}", model: short}}'
        short = ", max_tokens: 8" if declared == "variant" else ""
        long = f"{{like: current, model: long{short}}}"
        desk.suite_of({"current": current, "draft": long}, DROP)
        desk.edit("reply: {", f"reply: {{max_tokens: {8 if declared == 'reply' else 40}, ")
        values = red(desk, "accuracy[draft]", StepKind.RAISE_MAX_TOKENS)
        assert (values["cut"], values["of"]) == (30, 30)

        edit_at(desk, values["where"], "max_tokens: 8", "max_tokens: 40")

        assert judge(desk).ret == 0


@follows(StepKind.FIX_MUST_PASS)
def test_must_pass_cases_that_are_fixed_pass(desk):
    desk.suite("{accuracy: {min: 0.8}}", current=3)
    desk.edit('"id": "t001"', '"must_pass": true, "id": "t001"', "tickets.cases.jsonl")
    assert red(desk, "accuracy[current]", StepKind.FIX_MUST_PASS)["cases"] == "t001"

    desk.replies("current", wrong=1)

    assert judge(desk).ret == 0


@follows(StepKind.FIX_TRAINING_DATA)
def test_training_data_passes_without_the_rows_that_are_cases(desk):
    rows = [{"input": f"Customer {n} asks {n * 7919}", "expected": "billing"} for n in range(60)]
    rows += [{"input": f"Another {n} asks {n * 104729}", "expected": "refund"} for n in range(60)]
    leaked = [{"input": f"ticket {n}: HELP!", "expected": "billing"} for n in (7, 8, 9)]
    desk.write_rows("train.jsonl", rows + leaked)
    desk.replies("tuned")
    tuned = (
        "{provider: recorded, replies: tuned.jsonl, rung: fine-tuned, training_data: train.jsonl}"
    )
    desk.suite_of({"tuned": tuned}, "{data: {min_rows: 50}}")
    result = judge(desk)
    assert result.ret == 1
    step_of(desk, "data[tuned]", StepKind.FIX_TRAINING_DATA)
    result.stdout.fnmatch_lines(["    leak, lines 121–123: *"])

    desk.write_rows("train.jsonl", rows)

    assert judge(desk).ret == 0


@follows(StepKind.CHECK_SCORE)
def test_a_comparison_in_which_nothing_is_right_passes_once_the_score_is_mended(desk):
    desk.suite(DROP, current=0, new=0)
    desk.edit("reply: {format: {choice: [billing, refund]}}", "reply: {score: exact}")
    rows = [{"id": f"t{n:03}", "text": f"It is {desk.label(n)}."} for n in range(desk.cases)]
    for name in ("current", "new"):
        desk.write_rows(f"{name}.jsonl", rows)
    red(desk, "accuracy[new]", StepKind.CHECK_SCORE)

    desk.edit("score: exact", "score: contains")

    assert judge(desk).ret == 0


@follows(StepKind.CHECK_SCORE)
def test_a_first_run_in_which_nothing_is_right_passes_once_the_score_is_mended(desk):
    desk.suite(DROP, current=0)
    desk.edit("reply: {", "reply: {score: regex, ")
    rows = [
        {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": "Billing|Refund"}
        for n in range(desk.cases)
    ]
    desk.write_rows("tickets.cases.jsonl", rows)
    result = judge(desk)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["[?] accuracy[[]current]   nothing to compare with yet*"])
    step_of(desk, "accuracy[current]", StepKind.CHECK_SCORE)

    desk.edit("score: regex, ", "")
    desk.write_cases()

    assert judge(desk).ret == 0


# What evidence to add ---------------------------------------------------------------------------


@follows(StepKind.RUN_AGAIN)
@pytest.mark.parametrize("options", [(), ("--ftgate-cache=own.sqlite",)], ids=" ".join)
def test_cases_without_a_reply_are_complete_after_the_command(desk, options):
    run_again(desk, "{accuracy: {min: 0.9}}", *options)


@follows(StepKind.RUN_AGAIN)
def test_a_first_run_that_lacks_replies_passes_after_the_command(desk):
    run_again(desk, DROP)


def run_again(desk, gates, *options):
    """Run a suite whose function fails at first, and then the command that the verdict names."""
    desk.asking_suite(DOWN_AT_FIRST, gates=gates)
    result = judge(desk, *options)
    step = step_of(desk, "accuracy[current]", StepKind.RUN_AGAIN)
    assert step.values["missing"] == 10
    desk.path("up").touch()

    again = follow(desk, step, result)

    assert again.ret == 0
    again.stdout.fnmatch_lines(["100 replies: 90 cached, 10 requested*"])


@follows(StepKind.ADD_REPLIES)
def test_recorded_replies_that_are_added_complete_the_gate(desk):
    desk.replies("current", missing=20)
    desk.suite_of(
        {"current": "{provider: recorded, replies: current.jsonl}"}, "{accuracy: {min: 0.9}}"
    )
    values = red(desk, "accuracy[current]", StepKind.ADD_REPLIES)
    assert (values["missing"], values["file"]) == (20, "current.jsonl")

    desk.replies("current")

    assert judge(desk).ret == 0


@follows(StepKind.ADD_REPLIES)
def test_a_price_of_recorded_replies_without_usage_is_had_by_declaring_it(desk):
    recorded = "{provider: recorded, replies: current.jsonl, price_model: claude-haiku-4-5}"
    desk.replies("current")
    desk.suite_of({"current": recorded}, "{cost: {max_usd_per_1k: 2, max_cost_per_case: 0.01}}")
    values = red(desk, "cost[current]", StepKind.ADD_REPLIES)
    assert (values["missing"], values["tokens"]) == (100, True)

    desk.edit("price_model: claude-haiku-4-5", "usd_per_1k: 1")

    assert judge(desk).ret == 0


@follows(StepKind.BOUND_COST)
def test_stated_costs_that_nothing_limits_pass_as_a_plain_threshold(desk):
    rows = [
        {"id": f"t{n:03}", "text": "billing", "run": {"cost_usd": 0.001 + n / 1e6}}
        for n in range(desk.cases)
    ]
    desk.write_rows("current.jsonl", rows)
    recorded = "{provider: recorded, replies: current.jsonl, usd_per_1k: 1}"
    desk.suite_of({"current": recorded}, "{cost: {max_usd_per_1k: 2}}")
    red(desk, "cost[current]", StepKind.BOUND_COST)

    desk.edit("max_usd_per_1k: 2", "max_usd_per_1k: 2, evidence: point")

    assert judge(desk).ret == 0


def test_recorded_replies_that_count_their_tokens_cost_what_is_declared(desk):
    usage = {"input": 100, "output": 10}
    rows = [{"id": f"t{n:03}", "text": "billing", "usage": usage} for n in range(desk.cases)]
    desk.write_rows("current.jsonl", rows)
    recorded = "{provider: recorded, replies: current.jsonl}"
    desk.suite_of({"current": recorded}, "{cost: {max_usd_per_1k: 2, max_cost_per_case: 0.01}}")
    red(desk, "cost[current]", StepKind.DECLARE_PRICE)

    desk.edit("current.jsonl}", "current.jsonl, usd_per_1m_input: 1, usd_per_1m_output: 4}")

    assert judge(desk).ret == 0


@follows(StepKind.DECLARE_PRICE)
def test_a_price_of_a_server_that_reports_no_tokens_is_had_by_declaring_it(desk):
    body = {"choices": [{"message": {"content": "billing"}, "finish_reason": "stop"}]}
    with chat_server(lambda request: json.dumps({"model": "m", **body}).encode()) as server:
        rates = "usd_per_1m_input: 1, usd_per_1m_output: 2"
        variant = f"{{provider: openai-compatible, base_url: {server.url}, model: m, {rates}}}"
        desk.suite_of({"current": variant}, "{cost: {max_usd_per_1k: 2, evidence: point}}")
        values = red(desk, "cost[current]", StepKind.DECLARE_PRICE)
        assert StepKind.RUN_AGAIN not in kinds(desk, "cost[current]")

        edit_at(desk, values["where"], rates, "usd_per_1k: 1")

        assert judge(desk).ret == 0


@follows(StepKind.CLAIM_OTHERS)
def test_runs_that_are_copies_pass_once_each_task_counts_once(desk):
    desk.replies("current")
    file = desk.path("current.jsonl")
    file.write_text(3 * file.read_text("utf-8"), "utf-8")
    recorded = {"current": "{provider: recorded, replies: current.jsonl}"}
    desk.suite_of(recorded, "{accuracy: {claim: these_tasks, min: 0.7}}")
    desk.edit("variants:", "repeats: 3\nvariants:")
    where = red(desk, "accuracy[current]", StepKind.CLAIM_OTHERS)["where"]
    assert kinds(desk, "accuracy[current]")[0] is StepKind.CLAIM_OTHERS

    edit_at(desk, where, "these_tasks", "tasks_like_these")

    assert judge(desk).ret == 0


@follows(StepKind.REQUEST_TO_MEASURE)
def test_latency_that_was_not_measured_is_measured_by_the_command(desk):
    gates = "{accuracy: {min: 0.5}, latency: {max_p95_ms: 5000}}"
    desk.asking_suite(gates=gates)
    judge(desk)
    result = judge(desk)
    assert verdict_of(desk, "latency[current]").check is None

    follow(desk, step_of(desk, "latency[current]", StepKind.REQUEST_TO_MEASURE), result)

    assert verdict_of(desk, "latency[current]").check.n == desk.cases


@follows(StepKind.ADD_CASES)
def test_the_cases_that_are_added_settle_a_drop_that_was_likely_beyond_the_limit(desk):
    desk.cases = 20
    # Several variants share the error rate, so that each needs more evidence.
    others = {f"good-{number}": 0 for number in range(8)}
    gates = "{accuracy: {max_drop: 0.15}}"
    desk.suite(gates, current=0, draft=8, **others)
    judge(desk).stdout.fnmatch_lines(["*CI lies beyond the limit of 15*"])
    assert outcome(desk, "accuracy[draft]") == "inconclusive"

    desk.cases += step_of(desk, "accuracy[draft]", StepKind.ADD_CASES).values["needed"]
    desk.suite(gates, current=0, draft=round(desk.cases * 0.4), **others)
    judge(desk)

    assert outcome(desk, "accuracy[draft]") == "failed"


@follows(StepKind.DECIDE_OTHERWISE)
def test_replies_that_are_improved_pass_where_no_number_of_cases_decides(desk):
    desk.suite("{accuracy: {min: 0.85}}", current=14)
    assert red(desk, "accuracy[current]", StepKind.DECIDE_OTHERWISE)["n"] == desk.cases
    assert StepKind.ADD_CASES not in kinds(desk, "accuracy[current]")

    desk.replies("current", wrong=2)

    assert judge(desk).ret == 0


@pytest.fixture
def noisy(desk):
    """A suite of two variants whose replies vary: each is wrong one time in twenty."""
    times, lock = Counter(), Lock()

    def answer(request):
        number = int(re.search(r"\d+", request["messages"][-1]["content"])[0])
        step = {"current": 3, "draft": 11}[request["model"]]
        with lock:
            times[request["model"], number] += 1
            unlucky = (number * step + times[request["model"], number] * 7) % 20 == 0
        return Said(desk.label(number + unlucky))

    with chat_server(answer) as server:
        current = f'{{provider: openai-compatible, base_url: "{server.url}", model: current}}'
        desk.suite_of({"current": current, "draft": "{like: current, model: draft}"}, DROP)
        yield desk


@follows(StepKind.SETTLE)
def test_the_repeats_that_are_advised_settle_a_gate_whose_replies_vary(noisy):
    values = red(noisy, "accuracy[draft]", StepKind.SETTLE)

    edit_at(noisy, values["where"], "max_drop: 0.05", f"max_drop: 0.05, {values['setting']}")

    assert judge(noisy).ret == 0


# What to declare --------------------------------------------------------------------------------


@follows(StepKind.ADD_MINIMUM)
@pytest.mark.parametrize("rest", ["evidence: point", "max_drop: none"])
def test_a_minimum_of_nothing_gates_nothing_until_another_one_is_written(desk, rest):
    desk.suite(f"{{accuracy: {{min: 0, {rest}}}}}", current=100)

    result = judge(desk)

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.assert_outcomes(skipped=1)
    where = step_of(desk, "accuracy[current]", StepKind.ADD_MINIMUM).values["where"]
    result.stdout.fnmatch_lines(
        [
            f"  not gated  accuracy?current? 0 %: nothing can fail it: min: 0, {rest}",
            f"  accuracy?current?: write a min: above 0, in {where}",
            "no gate was evaluated; nothing can fail the selected gates",
        ]
    )
    desk.replies("current", wrong=2)
    edit_at(desk, where, "min: 0", "min: 0.8")
    assert judge(desk).ret == 0


@follows(StepKind.DECLARE_MINIMUM)
def test_a_comparison_that_can_show_nothing_passes_with_the_minimum_that_is_added(desk):
    desk.suite(DROP, current=96, new=96)
    desk.edit("reply: {format: {choice: [billing, refund]}}\n", "")
    desk.replies("new", wrong=96, said="none of these")
    where = red(desk, "accuracy[new]", StepKind.DECLARE_MINIMUM)["where"]

    edit_at(desk, where, "{max_drop: 0.05}", "{max_drop: 0.05, min: 0.01}")

    assert judge(desk).ret == 0


@follows(StepKind.RAISE_MINIMUM)
def test_a_minimum_that_guessing_reaches_passes_once_it_is_raised(desk):
    desk.suite("{accuracy: {min: 0.4}}", current=2)
    where = red(desk, "accuracy[current]", StepKind.RAISE_MINIMUM)["where"]

    edit_at(desk, where, "min: 0.4", "min: 0.6")

    assert judge(desk).ret == 0


@follows(StepKind.DECLARE_LIMIT)
def test_a_rise_from_nothing_passes_with_a_limit_of_its_own(desk):
    free = '{provider: python, function: "answers:answer", usd_per_1k: 0}'
    desk.asking_suite(gates="{cost: {max_rise: 0.5}}", new=free.replace("1k: 0", "1k: 1"))
    desk.edit('answer"}', 'answer", usd_per_1k: 0}')
    where = red(desk, "cost[new]", StepKind.DECLARE_LIMIT)["where"]

    edit_at(desk, where, "max_rise: 0.5", "max_usd_per_1k: 2")

    assert judge(desk).ret == 0


# What else to ship ------------------------------------------------------------------------------


@follows(StepKind.SHIP_OTHER)
@pytest.mark.parametrize(("others", "name"), [({"good": 1}, "good"), ({}, "current")])
def test_the_variant_to_ship_passes_once_the_other_one_is_left_out(desk, others, name):
    desk.suite(DROP, current=2, **others, worse=30)
    values = red(desk, "accuracy[worse]", StepKind.SHIP_OTHER)
    shipped = (values["variant"], values["for"], values["is_baseline"])
    assert shipped == (name, "worse", name == "current")

    edit_at(desk, values["where"], "replies: worse.jsonl}", "replies: worse.jsonl, gated: false}")

    assert judge(desk).ret == 0


# What to accept ---------------------------------------------------------------------------------


@follows(StepKind.MAKE_BASELINE)
@pytest.mark.parametrize("declared", [False, True], ids=["first variant", "declared"])
def test_a_candidate_that_is_made_the_baseline_passes(desk, declared):
    desk.suite(DROP, current=6, candidate=40)
    if declared:
        desk.edit("variants:", "baseline: current\nvariants:")
    values = red(desk, "accuracy[candidate]", StepKind.MAKE_BASELINE)

    make_baseline(desk, values, declared=declared)

    assert judge(desk).ret == 0


def make_baseline(desk, values, *, declared=False):
    """Declare the baseline in the line that the step names, which says now which one it is."""
    if declared:
        edit_at(desk, values["where"], "baseline: current", f"baseline: {values['variant']}")
    else:
        edit_at(desk, values["where"], "variants:", f"baseline: {values['variant']}\nvariants:")


@follows(StepKind.MAKE_BASELINE)
@pytest.mark.parametrize("named", ["", ', variants=["candidate"]'], ids=["all", "named"])
def test_the_baseline_of_a_marked_function_is_that_of_the_suite_it_names(desk, named):
    desk.suite("{accuracy: {min: 0.5, max_drop: none}}", current=6, candidate=40)
    desk.marked(RIGHT, f"max_drop=0.05{named}")
    values = red(desk, "test_it[candidate]", StepKind.MAKE_BASELINE)
    assert values["where"].startswith(SUITE)

    make_baseline(desk, values)

    assert judge(desk).ret == 0


@follows(StepKind.MAKE_BASELINE)
def test_the_baseline_of_a_mark_with_variants_of_its_own_is_the_first_one(desk):
    desk.path("bots.py").write_text(
        "def good(case):\n    return 'yes'\n\n"
        "def poor(case):\n    return 'yes' if int(case.id[1:]) > 40 else 'no'\n"
    )
    desk.path("test_alone.py").write_text(
        "import pytest\n\n@pytest.mark.ftgate(\n"
        "    cases=[{'id': f'c{n}', 'input': f'say {n}'} for n in range(100)],\n"
        "    variants={\n"
        "        'good': {'provider': 'python', 'function': 'bots:good'},\n"
        "        'poor': {'provider': 'python', 'function': 'bots:poor'},\n"
        "    },\n"
        "    max_drop=0.05,\n)\ndef test_it(reply):\n    assert reply.text == 'yes'\n"
    )
    values = red(desk, "test_it[poor]", StepKind.MAKE_BASELINE)
    assert values["in_mark"]

    name = values["where"].rpartition(":")[0]
    (poor,) = re.findall(rf" +'{values['variant']}':.*\n", desk.path(name).read_text())
    desk.edit(poor, "", name)
    edit_at(desk, values["where"], "variants={", f"variants={{\n{poor}")

    assert judge(desk).ret == 0


def assert_accepts(desk, step, printed):
    """Assert that the gates pass once, and not before, the command of *step* has been run."""
    assert judge(desk).ret == 1
    assert follow(desk, step, printed).ret == 0
    assert judge(desk).ret == 0


@follows(StepKind.MAKE_BASELINE)
def test_a_baseline_that_a_record_knew_is_accepted_by_the_command_of_the_step(desk):
    desk.suite(DROP, current=2)
    judge(desk, "--ftgate-accept")
    desk.suite(DROP, current=2, candidate=40)
    result = judge(desk)
    step = step_of(desk, "accuracy[candidate]", StepKind.MAKE_BASELINE)

    make_baseline(desk, step.values)

    assert_accepts(desk, step, result)


@follows(StepKind.SET_LIMIT)
@pytest.mark.parametrize(
    ("gates", "cases", "current", "wrong"),
    [
        (DROP, 100, 2, 5),
        ("{accuracy: {min: 0.85}}", 100, None, 12),
        ("{accuracy: {min: 0.93, max_drop: 0.05}}", 1000, 20, 90),
        ("{accuracy: {min: 0.85, evidence: point}}", 100, 2, 20),
        ("{format: {min: 0.85}}", 1000, None, 200),
        ("\n  accuracy:\n    max_drop: none\n    min: 0.85", 100, None, 12),
    ],
)
def test_the_limit_that_a_verdict_names_passes_the_same_replies(desk, gates, cases, current, wrong):
    desk.cases = cases
    desk.suite(gates, **({} if current is None else {"current": current}), new=0)
    desk.replies("new", wrong=wrong, said="none of these" if "format" in gates else None)
    kind = re.search(r"\w+", gates)[0]

    values = red(desk, f"{kind}[new]", StepKind.SET_LIMIT)

    for setting in values["setting"].split(", "):
        key = setting.partition(":")[0]
        declared = re.search(rf"{key}: [\d.]+", gates)
        edit_at(desk, values["where"], declared[0], setting)
    assert judge(desk).ret == 0


def test_a_limit_that_follows_the_number_of_cases_is_not_moved_to_the_result(desk):
    desk.suite("{accuracy: {min: 0.85}}", current=2, new=12)
    assert judge(desk).ret == 1

    assert StepKind.SET_LIMIT not in kinds(desk, "accuracy[new]")


@follows(StepKind.SET_LIMIT)
def test_a_real_drop_within_the_limit_passes_with_the_limit_that_is_named(desk):
    desk.cases = 300
    desk.suite(DROP, current=3, draft=13)
    values = red(desk, "accuracy[draft]", StepKind.SET_LIMIT)

    edit_at(desk, values["where"], "max_drop: 0.05", values["setting"])

    assert judge(desk).ret == 0


@follows(StepKind.SET_LIMIT)
def test_the_limit_of_a_marked_function_stands_in_its_mark(desk):
    desk.suite("{accuracy: {min: 0.5, max_drop: none}}", current=12)
    desk.marked(RIGHT, 'min=0.85, max_drop="none"')
    values = red(desk, "test_it[current]", StepKind.SET_LIMIT)

    edit_at(desk, values["where"], "min=0.85", values["setting"])

    assert judge(desk).ret == 0


@follows(StepKind.ACCEPT_RUN)
@pytest.mark.parametrize(("releases", "wrong"), [(1, 30), (3, 30), (1, 4)])
def test_an_intended_drop_from_the_accepted_run_is_accepted_by_the_command(desk, releases, wrong):
    desk.suite(DROP, current=0)
    for number in range(releases):
        desk.replies("current", wrong=number)
        judge(desk, "--ftgate-accept")
    desk.replies("current", wrong=wrong)
    result = judge(desk)
    step = step_of(desk, "accuracy[current]", StepKind.ACCEPT_RUN)

    assert follow(desk, step, result).ret == 1
    assert judge(desk).ret == 0


@follows(StepKind.ACCEPT)
def test_an_unread_first_run_is_accepted_and_compared_with_from_then_on(desk):
    desk.suite(DROP, current=2)
    result = judge(desk)
    step = step_of(desk, "accuracy[current]", StepKind.ACCEPT)

    assert follow(desk, step, result).ret == 0

    judge(desk)
    assert verdict_of(desk, "accuracy[current]").check.is_unchanged


@follows(StepKind.ACCEPT)
def test_a_minimum_with_nothing_to_compare_with_says_so_until_a_run_is_accepted(desk):
    desk.suite("{accuracy: {min: 0.5}}", current=2)
    result = judge(desk)
    alone = "  accuracy?current?: min alone decides, with nothing to compare with; accept a*"
    result.stdout.fnmatch_lines([alone])

    assert follow(desk, step_of(desk, "accuracy[current]", StepKind.ACCEPT), result).ret == 0

    judge(desk).stdout.no_fnmatch_line(alone)
    desk.replies("current", wrong=45)
    assert judge(desk).ret == 1


def test_a_minimum_whose_gate_limits_no_drop_asks_for_no_accepted_run(desk):
    desk.suite("{accuracy: {min: 0.5, max_drop: none}}", current=2)

    judge(desk).stdout.no_fnmatch_line("*--ftgate-accept*")


@follows(StepKind.ACCEPT_EXAM)
def test_a_smaller_exam_passes_once_it_is_accepted_by_the_command(desk):
    desk.suite(DROP, current=20)
    judge(desk, "--ftgate-accept")
    desk.cases = 90
    desk.write_cases()
    result = judge(desk)

    assert_accepts(desk, step_of(desk, "accuracy[current]", StepKind.ACCEPT_EXAM), result)


# What to see ------------------------------------------------------------------------------------


@follows(StepKind.SHOW_REGRESSED)
def test_all_regressed_cases_are_shown_by_the_command(desk):
    desk.suite("{accuracy: {max_drop: 0.15}}", current=0, draft=12)
    result = judge(desk)
    step = step_of(desk, "accuracy[draft]", StepKind.SHOW_REGRESSED)

    shown = follow(desk, step, result)

    shown.stdout.fnmatch_lines([f"    t{n:03}  Ticket *" for n in range(12)])


@follows(StepKind.EXPLAIN)
def test_a_verdict_without_cases_is_explained_by_the_command(desk, capsys, monkeypatch):
    desk.asking_suite(gates="{latency: {max_p95_ms: 0.001}}")
    printed = judge(desk)
    command = step_command(step_of(desk, "latency[current]", StepKind.EXPLAIN))
    assert command in printed.stdout.str()
    monkeypatch.chdir(desk.pytester.path)
    capsys.readouterr()

    assert main(shlex.split(command)[1:]) == 0

    assert "why:" in capsys.readouterr().out


# Beside a verdict -------------------------------------------------------------------------------


def test_too_few_cases_are_read_with_the_limit_that_the_error_names(desk):
    desk.cases = 20
    desk.suite("{accuracy: {max_drop: 0.05}}", current=0, new=0)
    text = "\n".join(desk.run().outlines)
    limit = re.search(r"or write max_drop: ([0-9.]+)", text)[1]

    desk.edit("max_drop: 0.05", f"max_drop: {limit}")

    assert desk.run().ret == 0
