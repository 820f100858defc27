"""A team holds how long replies take to a limit; only what was asked in this run was measured."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import heavy

SLOW = """\
import time

def answer(case):
    time.sleep(0.01)
    return case.expected

def rarely(case):
    if case.id < "t015":
        time.sleep(0.1)
    return case.expected

def quick(case):
    return case.expected
"""
FIRST = "{latency: {max_p50_ms: 5000, max_p95_ms: 5000}}"


@pytest.mark.parametrize(
    ("function", "limit"), [("answer", "max_p50_ms: 9"), heavy("rarely", "max_p95_ms: 60")]
)
def test_a_quicker_model_passes_the_limit_that_a_slow_one_failed(desk, function, limit):
    desk.asking_suite(SLOW, gates=f"{{latency: {{{limit}}}}}")
    desk.edit(":answer", f":{function}")
    slow = desk.run()
    slow.stdout.fnmatch_lines(["    fix     choose a smaller model or a shorter prompt"])

    desk.edit(f":{function}", ":quick")

    assert (slow.ret, desk.run().ret) == (1, 0)


def test_a_gate_that_did_not_pass_blocks_until_it_is_measured_again(desk):
    desk.asking_suite(SLOW, gates="{latency: {max_p50_ms: 9}}")
    failed = desk.run()
    cached = [desk.run() for _ in range(2)]

    assert [run.ret for run in (failed, *cached)] == [1, 1, 1]
    told = " ".join(str(cached[-1].stdout).split())
    assert "not measured again since it did not pass: 0 of 100 replies of current" in told
    cached[-1].stdout.fnmatch_lines(["    fix * --ftgate-replies=fresh*"])


def test_what_is_no_slow_reply_leaves_a_cached_gate_unmeasured_and_blocks_nothing(desk):
    desk.asking_suite(SLOW, gates=FIRST)
    desk.run("--ftgate-accept", "--ftgate-accept-failed")
    rows = desk.path("tickets.cases.jsonl").read_text().splitlines(keepends=True)
    desk.path("tickets.cases.jsonl").write_text("".join(rows[1:]))
    desk.run()
    desk.run("--ftgate-accept", "--ftgate-accept-failed")

    assert "since it did not pass" not in desk.run("-v").stdout.str()


def test_replies_from_the_cache_are_not_measured_until_they_are_asked_anew(desk):
    desk.asking_suite(SLOW, gates=FIRST)
    desk.run().stdout.fnmatch_lines(
        ["  latency[[]current]: measured with up to 1 request in flight at once"]
    )

    result = desk.run("-v")

    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["no gate was evaluated; nothing can fail the selected gates"])
    told = " ".join(" ".join(result.outlines).split())
    assert "not measured: 0 of 100 replies of current were requested in this run" in told
    assert "--ftgate-replies=fresh" in told

    desk.run("--ftgate-replies=fresh")

    assert desk.verdicts()["latency[current]"]["checks"][0]["n"] == 100
