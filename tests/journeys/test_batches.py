"""A nightly run asks in batches, at half the price, and may be stopped or killed while they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from threading import Event

import pytest
from ftgate_testing.batches_api import batches_api, succeeded
from ftgate_testing.chat_batches_api import chat_batches_api, completed

# Runs in this process forget what they imported, and the SDK is slow to import.
import pytest_ftgate.providers.anthropic_batches  # noqa: F401
from pytest_ftgate.client import batches

DEADLINE = 60
#: Makes a run look for the end of its batches often; it stands in the desk's conftest.py.
IMPATIENT = """\
from pytest_ftgate.client import batches
batches._FIRST_POLL = batches._MAX_POLL = 0.05
"""
VARIANT = "{{provider: anthropic, model: claude-x, api_key_env: TEAM_KEY, base_url: {}{}}}"

ALLOWED = "ftgate_keys = TEAM_KEY@127.0.0.1\n"


@pytest.fixture
def allowed(desk, monkeypatch):
    monkeypatch.setattr(batches, "_FIRST_POLL", 0.01)
    monkeypatch.setenv("TEAM_KEY", "secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    desk.path("pytest.ini").write_text(f"[pytest]\n{ALLOWED}")


@pytest.fixture
def api(allowed):
    with batches_api() as running:
        running.becomes = lambda name, params: succeeded(label(params))
        yield running


def label(params) -> str:
    """Return the right label of a ticket; its number decides."""
    return ("billing", "refund")[int(params["messages"][-1]["content"].split()[1].strip(":")) % 2]


def current(api, more=""):
    return {"current": VARIANT.format(api.url, more)}


def test_a_variant_in_batches_is_judged_like_any_other_and_the_next_run_has_its_replies(desk, api):
    desk.suite_of(current(api, ", batch: true"))

    result = desk.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 100 requested*"])
    assert [len(batch) for batch in api.created.values()] == [100]
    desk.suite_of(current(api))
    result = desk.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 0 requested*"])


def test_two_suites_of_a_run_go_in_the_one_batch_that_the_configuration_asks_for(desk, api):
    desk.path("pytest.ini").write_text(f"[pytest]\n{ALLOWED}ftgate_batch = true\n")
    desk.suite_of(current(api))
    text = desk.path("tickets.ftgate.yaml").read_text()
    desk.path("more.ftgate.yaml").write_text(text.replace("cases:", "prompt: p.md\ncases:"))
    desk.path("p.md").write_text("Be brief.")

    desk.run().assert_outcomes(passed=2)

    assert [len(batch) for batch in api.created.values()] == [200]


def test_a_batch_costs_half_and_is_held_to_the_budget(desk, api):
    desk.suite_of(current(api, ", usd_per_1k: 10, batch: true"), "{accuracy: {min: 0.5}}")

    plan = desk.run("--ftgate-plan")
    cut = desk.run("--ftgate-max-usd=0.2")

    plan.stdout.fnmatch_lines(["  current *100 *0.50 *"])
    cut.stdout.fnmatch_lines(
        ["STOPPED *60 requests not sent", "40 replies: 0 cached, 40 requested*0.20 USD*"]
    )
    assert [len(batch) for batch in api.created.values()] == [40]


@contextmanager
def started(desk):
    """Start a run in batches in a process of its own."""
    options = ["--ftgate", "--ftgate-batch", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=desk.pytester.path, env=environ, **pipes) as run:
        try:
            yield run
        finally:
            # A test that has failed would else wait for the end of the run.
            run.kill()


def test_an_interrupted_run_says_that_its_batch_goes_on_and_the_next_one_picks_it_up(desk, api):
    desk.suite_of(current(api))
    desk.path("conftest.py").write_text(IMPATIENT)
    api.may_end.clear()

    with started(desk) as run:
        while not any(path.endswith("msgbatch_1") for path in api.paths("GET")):
            with suppress(subprocess.TimeoutExpired):
                run.wait(0.05)
            assert run.returncode is None
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=DEADLINE)

    told = "batch msgbatch_1 with 100 requests goes on; the same command picks its replies up"
    assert told in " ".join(said.split())
    api.may_end.set()
    desk.run("--ftgate-batch").assert_outcomes(passed=1)
    assert len(api.created) == 1


@pytest.fixture
def chat_api(desk, allowed):
    """Serve the batches of OpenAI to a suite that declares `batch: true`."""
    desk.path("conftest.py").write_text(IMPATIENT)
    with chat_batches_api() as running:
        running.becomes = lambda body: completed(label(body), body["model"])
        keys = f"api_key_env: TEAM_KEY, base_url: '{running.url}', batch: true"
        desk.suite_of(
            {"current": f"{{provider: openai-compatible, model: gpt-x, {keys}, usd_per_1k: 10}}"}
        )
        yield running


def before_the_id_came(api, reached: Event, may_go_on: Event) -> None:
    def hold() -> None:
        reached.set()
        may_go_on.wait(DEADLINE)

    api.before_answer = hold


def while_the_batch_runs(api, reached: Event, may_go_on: Event) -> None:
    api.may_end.clear()
    described, polled = api.describe, []

    def describe(name):
        polled.append(name)
        if len(polled) > 1:
            reached.set()
        return described(name)

    api.describe = describe


@pytest.mark.parametrize("moment", [before_the_id_came, while_the_batch_runs])
def test_a_killed_run_picks_its_batch_up_again_and_pays_nothing_twice(desk, chat_api, moment):
    reached, may_go_on = Event(), Event()
    plain = dict(vars(chat_api))
    moment(chat_api, reached, may_go_on)
    with started(desk) as run:
        assert reached.wait(DEADLINE)
        run.kill()
        assert run.wait(DEADLINE) == -signal.SIGKILL
    may_go_on.set()
    vars(chat_api).clear()
    vars(chat_api).update(plain)
    chat_api.may_end.set()

    result = desk.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: 0 cached, 100 requested*"])
    assert chat_api.sizes == [100]
    desk.run().stdout.fnmatch_lines(["100 replies: 100 cached, 0 requested*"])
    assert chat_api.sizes == [100]
