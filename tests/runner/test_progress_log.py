"""What a run shows while it waits for replies: lines, and one line of progress."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from threading import Event

import pytest
from ftgate_testing.fake_provider import CASES, House
from ftgate_testing.judge_suites import suite_with_judge
from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.planner import gate_runs_of
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
    assert proof == "draft          identity proven: 15 of 15 replies differ from the base's"
    done = {line.split()[1]: line.split()[2:] for line in lines if f"{CASES}/{CASES}" in line}
    assert done == {
        "current": ["100/100", "right", "0", "%"],
        "draft": ["100/100", "right", "100", "%"],
    }


def proof_lines(tuned: House, says=lambda request: request.model) -> list[str]:
    """Return what is told of the identity of *draft* once each stage was asked, and answered."""
    may_answer = Event()
    tuned.says = lambda request: may_answer.wait() and says(request)
    session, gate = tuned.session(), tuned.gate_run()
    log, told = RunLog(session, [gate]), []
    for stage in session.plan(gate).probe_stages:
        requests = [case_request for group in stage for case_request in group]
        session.replies.engine.submit([one.request for one in requests])
        told += log.new_lines(replace(session.replies.progress, seconds=40.0 * len(told)))
        may_answer.set()
        session.replies.results(requests)
    told += log.new_lines(replace(session.replies.progress, seconds=40.0 * len(told)))
    return [line.partition("]")[2].strip() for line in told if "identity" in line]


def test_while_identity_is_shown_it_says_how_many_replies_differ_and_how_many_are_compared(tuned):
    lines = proof_lines(tuned)

    assert lines[0] == "draft          identity: 15 replies are compared with the base's"
    assert lines[-1] == "draft          identity: 60 of 60 differ from the base's (60 asked)"
    # With a count of three digits and the time before it, a terminal of 80 columns has room.
    longest = lines[-1].replace("60", "180")
    assert len(f"[10:00]  {longest}") < 80


def test_replies_as_those_of_the_base_are_told_before_the_verdict(tuned):
    last = proof_lines(tuned, lambda _request: "so it is")[-1]

    assert last == "draft          identity: 0 of 60 differ from the base's (60 asked)"


def counted(log: RunLog, session) -> tuple[int, int]:
    """Return how many requests a run sends at least and at most, as far as it knows."""
    progress = log.complete(session.replies.progress)
    return progress.to_send, progress.to_send + progress.possible


def test_what_may_follow_is_counted_and_less_with_each_gate_that_is_decided(house):
    house.write("{accuracy: {max_drop: 0.05, stop_early: true}}", base="parent")
    house.wrong = {"current"}
    session, gates = house.session(), [house.gate_run(variant="current"), house.gate_run()]
    log, counts = RunLog(session, gates), []
    session.submit(gates)

    counts.append(counted(log, session))
    for gate in gates:
        evaluate_gate(session, gate)
        counts.append(counted(log, session))
        log.decide(gate)
    counts.append(counted(log, session))

    # Blocks of twenty cases, and fifteen or sixty replies to show that the draft is tuned.
    assert counts[0] == (20 + 20 + 3 * 15, 100 + 100 + 3 * 60)
    assert counts[-1] == (session.replies.progress.to_send,) * 2
    assert all(early[0] <= later[0] <= later[1] <= early[1] for early, later in pairwise(counts))


@pytest.mark.parametrize(
    ("gates", "least"),
    [
        # As many as the gates need, or all if one gate needs them.
        ("{accuracy: {min: 0.5, stop_early: true, max_drop: none}}", 20 + 20),
        ("{accuracy: {min: 0.5, stop_early: true, max_drop: none}, format: {min: 0.5}}", 100 + 100),
    ],
)
def test_ungated_variants_of_a_whole_suite_are_counted_before_they_are_asked(house, gates, least):
    house.write(gates)
    text = (house.folder / "s.ftgate.yaml").read_text("utf-8")
    (house.folder / "s.ftgate.yaml").write_text(
        text.replace("training_data: train.jsonl, rung: fine-tuned", "gated: false"), "utf-8"
    )
    session, gates = house.session(), gate_runs_of(house.suite())
    session.submit(gates)

    assert counted(RunLog(session, gates), session) == (least, 100 + 100)


def test_of_replies_that_a_judge_grades_the_least_alone_is_known_until_the_gate_is_decided(
    tmp_path, house
):
    judge = "{rubric: Is it polite?, model: {provider: anthropic, model: judge}}"
    (gate,) = gate_runs_of(suite_with_judge(tmp_path, judge))
    session = house.session()
    log, progress = RunLog(session, [gate]), replace(session.replies.progress, planned=2)

    told = log.first_lines(log.complete(progress))
    log.decide(gate)

    assert told[0] == "ftgate  s.ftgate.yaml · 1 gate · 1 variant · at least 2 requests"
    assert not log.complete(progress).has_more


def test_what_the_cache_has_may_not_follow(house):
    house.write("{accuracy: {min: 0.5, max_drop: none}}")
    first, gate = house.session(), house.gate_run(variant="current")
    evaluate_gate(first, gate)
    first.close()
    house.write("{accuracy: {min: 0.5, stop_early: true, max_drop: none}}")
    session, gate = house.session(), house.gate_run(variant="current")
    session.submit([gate])

    assert counted(RunLog(session, [gate]), session)[1] == 0


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
    log = RunLog(session, gates)
    [*log.new_lines(session.replies.progress)]
    session.submit(gates)

    session.replies.results(session.groups(gates[0])[-1])

    (line,) = [line for line in log.new_lines(session.replies.progress) if "current" in line]
    assert line.endswith("100/100")


@every_row(
    "changes, told",
    [
        ({"failing": "503 loading"}, ["[0:02]  no reply yet, trying again: 503 loading"]),
        ({"notices": ("8 at once",)}, ["[0:02]  8 at once"]),
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
MIDDLE = " · 16 in flight · 12.0 a second · 0.42 USD · "
EARLY = replace(BUSY, possible=250, reused=0, failed=0, planned=500)
JUDGED = replace(EARLY, has_more=True)


@every_row("progress, line", [
    (Progress(planned=500), "[0:00]  0 of 500 requests (0 %)"),
    (BUSY,
     "[1:30]  120 of 500 requests (24 %) · 2 failed · 100 from the cache · 16 in flight" + TAIL),
    (Progress(planned=4, received=4, rate=0.5), "[0:00]  4 of 4 requests (100 %) · 0.5 a second"),
    (EARLY, f"[1:30]  118 of 500 to 750 requests{MIDDLE}about 0:32 to 0:53 left"),
    (JUDGED, f"[1:30]  118 of at least 500 requests{MIDDLE}at least 0:32 left"),
])  # fmt: skip
def test_it_shows_replies_requests_in_flight_cost_and_remaining_time(progress, line):
    assert progress_line(progress, 160, bar=False) == line


NARROW = "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed"
LONG = replace(EARLY, planned=1118, possible=301, received=441)


@every_row("progress, columns, line", [
    (LONG, 79, "████░░░░░░░░░░░░  441 of 1,118 to 1,419 requests · about 0:56 to 1:22 left"),
    (BUSY, 100, NARROW + TAIL),
    (BUSY, 84, NARROW + " · 0.42 USD · about 0:32 left"),
    (BUSY, 73, NARROW + " · about 0:32 left"),
    (BUSY, 30, "███░░░░░░░░░░░░░  120 of 500 r"),
])  # fmt: skip
def test_a_narrow_terminal_keeps_the_time_that_is_left(progress, columns, line):
    assert progress_line(progress, columns) == line
