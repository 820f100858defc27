"""A run has a budget: it stops in time, keeps what was paid for, and the next one goes on."""

from __future__ import annotations

import pytest

GATES = "{accuracy: {min: 0.85}, cost: {max_usd_per_1k: 2}}"


@pytest.fixture
def paid(desk):
    """A suite that asks a hundred calls at 0.001 USD each."""
    priced = '{provider: python, function: "answers:answer", usd_per_1k: 1}'
    desk.asking_suite(gates=GATES, current=priced)
    return desk


def test_a_budget_stops_the_asking_in_time_says_so_and_the_next_run_goes_on(paid):
    result = paid.run("--ftgate-max-usd=0.03")

    assert len(paid.asked()) == 30
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  1 of 2 gates; blocks, *",
            "STOPPED  budget of 0.03 USD (--ftgate-max-usd) reached; 70 requests not sent",
            "30 replies: 0 cached, 30 requested in * · 0.03 USD",
        ]
    )
    told = paid.verdicts()["accuracy[current]"]
    assert told["outcome"] == "inconclusive"
    assert (
        "no reply to 70 of 100 cases; first: budget of 0.03 USD (--ftgate-max-usd) reached"
        in told["notes"]
    )

    result = paid.run()

    assert len(paid.asked()) == 100
    result.stdout.fnmatch_lines(
        ["PASSED  2 gates*", "100 replies: * cached, 70 requested in * · 0.07 USD of 0.10 USD"]
    )


def test_the_command_of_a_stopped_run_finishes_it(paid):
    stopped = paid.run("--ftgate-max-usd=0.03", "-q")
    stopped.stdout.fnmatch_lines(["STOPPED  budget of 0.03 USD *; 70 requests not sent"])
    command = next(line for line in stopped.outlines if "fix     pytest --ftgate" in line)

    assert command.split() == [
        *("fix", "pytest", "--ftgate", "--ftgate-max-usd=0.084", "tickets.ftgate.yaml")
    ]
    result = paid.run(*command.split()[3:])

    assert (result.ret, len(paid.asked())) == (0, 100)


def test_a_budget_that_pays_for_no_request_is_raised_to_what_the_plan_shows(paid):
    lines = paid.run("--ftgate-max-usd=0.0005").outlines
    assert paid.asked() == []
    start = next(n for n, line in enumerate(lines) if "raise --ftgate-max-usd to the most" in line)
    command = next(line for line in lines[start:] if "pytest --ftgate" in line)

    plan = paid.run(*command.split()[2:])

    (cost,) = (line.split()[5] for line in plan.outlines if line.startswith("  current "))
    assert paid.run(f"--ftgate-max-usd={cost}").ret == 0


def test_without_time_nothing_is_asked_and_nothing_is_judged(paid):
    result = paid.run("--ftgate-max-minutes=0")

    assert (result.ret, paid.asked()) == (1, [])
    headline = paid.verdicts()["accuracy[current]"]["headline"]
    assert headline == "nothing to evaluate: no reply came"


def test_the_configuration_may_set_the_budget_and_a_budget_that_is_no_amount_is_refused(paid):
    paid.pytester.makeini("[pytest]\nftgate_max_usd = 0.01\n")

    paid.run()

    assert len(paid.asked()) == 10
    for written in ("-1", "nan", "inf"):
        told = f"ftgate_max_usd is {written}; write a number from 0 up, such as 2.5"
        paid.run(f"--ftgate-max-usd={written}").stderr.fnmatch_lines([f"*{told}"])
