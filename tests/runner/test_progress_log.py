"""What a run shows while it waits for replies: lines, and one line of progress."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.fake_provider import CASES, House
from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.progress_log import RunLog, progress_line


@pytest.fixture
def tuned(house: House) -> House:
    house.write("{accuracy: {max_drop: 0.05}}", base="parent")
    house.wrong = {"current"}
    return house


def lines_of(house: House) -> list[str]:
    """Return the lines of a run from before its first reply to its last."""
    session, gates = house.session(), [house.gate_run(variant="current"), house.gate_run()]
    log = RunLog(session, gates)
    assert [*log.new_lines(session.replies.progress)] == []
    for gate in gates:
        evaluate_gate(session, gate, submit_with=gates)
    return [*log.new_lines(session.replies.progress)]


def test_it_begins_with_what_is_sent_and_says_that_it_is_safe_to_stop(tuned):
    session, gates = tuned.session(), [tuned.gate_run()]
    session.submit(gates)

    lines = RunLog(session, gates).first_lines(session.replies.progress)

    sent = session.replies.progress.to_send
    assert lines[0] == f"ftgate  s.ftgate.yaml · 1 gate · 1 variant · {sent} requests"
    assert {"parent (house)", "draft (house)", "current (house)"} & {*lines[1].strip().split(" · ")}
    assert (
        lines[2].strip() == "safe to stop: Ctrl-C keeps every reply, and the same command resumes"
    )


def test_it_tells_the_proof_of_identity_and_counts_the_replies_of_each_variant_and_the_right_ones(
    tuned,
):
    lines = lines_of(tuned)

    (proof,) = [line.partition("]")[2].strip() for line in lines if "identity" in line]
    assert proof == "draft          identity proven: 15 of 15 replies differ from the base model's"
    done = {line.split()[1]: line.split()[2:] for line in lines if f"{CASES}/{CASES}" in line}
    assert done == {
        "current": ["100/100", "right", "0", "%"],
        "draft": ["100/100", "right", "100", "%"],
    }


def test_a_variant_in_the_middle_of_its_cases_is_told_every_twenty_seconds(tuned):
    session, gates = tuned.session(), [tuned.gate_run(variant="current")]
    session.submit(gates)
    requests = session.groups(gates[0])[-1]
    log = RunLog(session, gates)
    [*log.new_lines(session.replies.progress)]
    log._variants[0].waiting |= {one.fingerprint + "?": one for one in requests[:50]}
    log._variants[0].total += 50
    session.replies.results(requests)
    progress = session.replies.progress

    early = [*log.new_lines(replace(progress, received=0, seconds=19.0))]
    late = [*log.new_lines(replace(progress, received=0, seconds=20.0))]

    assert early == []
    assert late == ["[0:20]  current            100/150   right so far 0 %"]


def test_a_scorer_that_is_slow_is_not_called_for_the_log(house):
    house.write("{accuracy: {min: 0.5}}", score=", score: {python: s:score}")
    (house.folder / "s.py").write_text("def score(reply, case):\n    raise SystemExit\n", "utf-8")
    session, gates = house.session(), [house.gate_run(variant="current")]
    session.submit(gates)
    log = RunLog(session, gates)
    [*log.new_lines(session.replies.progress)]

    session.replies.results(session.groups(gates[0])[-1])

    (line,) = [line for line in log.new_lines(session.replies.progress) if "current" in line]
    assert line.endswith("100/100")


@every_row(
    "changes, told",
    [
        ({"failing": "503 loading"}, ["[0:02]  no reply yet, trying again: 503 loading"]),
        # Others are replied to, so that one request alone waits.
        ({"failing": "503 loading", "rate": 0.5}, []),
        ({}, []),
    ],
)
def test_it_says_why_no_reply_comes_while_none_comes(house, changes, told):
    house.write("{accuracy: {min: 0.5}}")
    session = house.session()
    log = RunLog(session, [])
    progress = replace(session.replies.progress, seconds=2.0, **changes)

    assert [*log.new_lines(progress)] == told
    assert [*log.new_lines(replace(progress, seconds=30.0))] == []


def test_another_reason_is_said_at_most_every_twenty_seconds(house):
    house.write("{accuracy: {min: 0.5}}")
    session = house.session()
    log = RunLog(session, [])

    lines = [
        line
        for second in range(0, 60, 2)
        for line in log.new_lines(
            replace(
                session.replies.progress, seconds=float(second), failing=f"503, request {second}"
            )
        )
    ]

    assert [line.partition(": 503")[0] for line in lines] == [
        f"[{time}]  no reply yet, trying again" for time in ("0:00", "0:20", "0:40")
    ]


# The progress line ------------------------------------------------------------------------------

BUSY = Progress(
    planned=600, reused=100, received=118, failed=2, seconds=90.0, rate=12.0, in_flight=16, usd=0.42
)
TAIL = " · 12.0 a second · 0.42 USD · about 0:32 left"


@every_row("progress, line", [
    (Progress(planned=500), "[0:00]  0 of 500 requests (0 %)"),
    (BUSY,
     "[1:30]  120 of 500 requests (24 %) · 2 failed · 100 from the cache · 16 in flight" + TAIL),
    (Progress(planned=4, received=4, rate=0.5), "[0:00]  4 of 4 requests (100 %) · 0.5 a second"),
])  # fmt: skip
def test_it_shows_replies_requests_in_flight_cost_and_remaining_time(progress, line):
    assert progress_line(progress, 160, bar=False) == line


@every_row("columns, line", [
    (100, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed" + TAIL),
    (84, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed · 0.42 USD · about 0:32 left"),
    (73, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed · about 0:32 left"),
    (30, "███░░░░░░░░░░░░░  120 of 500 r"),
])  # fmt: skip
def test_a_narrow_terminal_keeps_the_time_that_is_left(columns, line):
    assert progress_line(BUSY, columns) == line
