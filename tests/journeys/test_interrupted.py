"""A run is interrupted from the keyboard while it asks."""

from __future__ import annotations

import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

DEADLINE = 60
#: Seconds in which a run that begins to end stops sending, on a machine that has more to do.
NOTICED = 3
#: Tells that it begins to end; pytest itself may take long until then.
ENDING = """\
from pathlib import Path

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    Path("ending").touch()
"""
#: Answers the first calls at once; the others hang until a file appears.
ANSWERED = 20
HANGING = f"""\
import asyncio
from pathlib import Path

HERE = Path(__file__).parent

async def answer(case):
    with (HERE / "asked.txt").open("a") as stream:
        stream.write(case.id + "\\n")
    asked = len((HERE / "asked.txt").read_text().splitlines())
    while asked > {ANSWERED} and not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return case.expected
"""


COMMAND = [sys.executable, "-m", "pytest", "--ftgate"]


def started(desk, conftest, command=COMMAND):
    """Start a run that hangs with sixteen calls in flight."""
    desk.asking_suite(HANGING)
    desk.path("conftest.py").write_text(conftest, "utf-8")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=desk.pytester.path, **pipes)


@pytest.fixture
def asking(desk, request):
    """A run with sixteen calls in flight; by parameter, one that was started in the background."""
    in_background = ["sh", "-c", f"trap '' INT; exec {shlex.join(COMMAND)}"]
    with started(desk, ENDING, in_background if hasattr(request, "param") else COMMAND) as run:
        soon(lambda: len(desk.asked()) == ANSWERED + 16)
        yield run
        run.kill()


def ended(run, timeout=DEADLINE) -> str:
    """Return what a run printed that was cut off, in order."""
    printed, _ = run.communicate(timeout=timeout)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, printed
    assert "Traceback" not in printed
    assert "no gate was evaluated; the run was cut off" in printed
    return printed


def soon(condition) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def kept(desk) -> int:
    with closing(sqlite3.connect(desk.path(".ftgate/cache.sqlite"))) as cache:
        return int(cache.execute("SELECT count(*) FROM replies").fetchone()[0])


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.heavy), signal.SIGTERM]
)
def test_what_is_in_flight_comes_home_and_nothing_more_is_sent(asking, desk, number):
    asking.send_signal(number)
    soon(lambda: desk.path("ending").exists())
    time.sleep(NOTICED)
    assert asking.poll() is None
    desk.path("go").touch()
    printed = ended(asking)

    assert len(desk.asked()) == kept(desk) == ANSWERED + 16
    missing = desk.cases - ANSWERED - 16
    message = f"interrupted: {missing} of {desk.cases} requests were not answered; the same command"
    assert message in printed
    assert f"current so far: 36 of {desk.cases} cases, 100 % right" in printed

    # The same command continues, and no reply is requested twice.
    assert desk.run().ret == 0
    assert len(desk.asked()) == desk.cases


@pytest.mark.heavy
@pytest.mark.parametrize("asking", ["in the background"], indirect=True)
def test_where_ctrl_c_is_ignored_it_goes_on_and_sigterm_ends_it_in_order(asking, desk):
    asking.send_signal(signal.SIGINT)
    time.sleep(NOTICED)
    assert asking.poll() is None
    assert not desk.path("ending").exists()
    asking.send_signal(signal.SIGTERM)
    soon(lambda: desk.path("ending").exists())
    # Still ignored: neither a second end nor a cancelled request.
    asking.send_signal(signal.SIGINT)
    time.sleep(NOTICED)
    assert asking.poll() is None
    desk.path("go").touch()

    ended(asking)
    assert len(desk.asked()) == kept(desk) == ANSWERED + 16


@pytest.mark.heavy
def test_interrupted_a_second_time_it_ends_at_once_and_what_was_kept_stays(asking, desk):
    asking.send_signal(signal.SIGINT)
    soon(lambda: desk.path("ending").exists())
    time.sleep(NOTICED)
    asking.send_signal(signal.SIGINT)

    printed = ended(asking)
    assert f"current so far: {ANSWERED} of {desk.cases} cases, 100 % right" in printed
    assert kept(desk) == ANSWERED


def test_interrupted_twice_in_a_row_it_ends_in_order(asking, desk):
    asking.send_signal(signal.SIGINT)
    # While pytest handles the first one.
    time.sleep(0.05)
    asking.send_signal(signal.SIGINT)
    try:
        printed = ended(asking, timeout=5)
    except subprocess.TimeoutExpired:
        # The two arrived as one, before the first was handled.
        asking.send_signal(signal.SIGINT)
        printed = ended(asking)

    assert f"current so far: {ANSWERED} of {desk.cases} cases, 100 % right" in printed
    assert kept(desk) == ANSWERED


#: An import that takes long; an interruption would cut it in two.
SLOW_IMPORT = """\
import sys
import time
from pathlib import Path

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "scipy.special":
            Path("importing").touch()
            time.sleep(2)
            Path("imported").touch()

sys.meta_path.insert(0, Slow())
"""


@pytest.mark.heavy
def test_interrupted_during_an_import_it_ends_in_order_and_the_import_is_whole(desk):
    with started(desk, SLOW_IMPORT) as run:
        soon(lambda: desk.path("importing").exists())
        run.send_signal(signal.SIGINT)
        soon(lambda: desk.path("imported").exists())
        desk.path("go").touch()
        assert "Error" not in ended(run)


#: The second call ends as Ctrl-C ends it.
INTERRUPTED_SCORER = """\
def score(case, reply):
    with open("scored.txt", "a") as stream:
        stream.write(case.id + "\\n")
    if len(open("scored.txt").readlines()) == 2:
        raise KeyboardInterrupt
    return True
"""


def test_interrupted_while_it_scores_no_reply_is_scored_again(desk):
    path = desk.pytester.path
    (path / "scores.py").write_text(INTERRUPTED_SCORER, "utf-8")
    for name, key in (("cases", "input"), ("replies", "reply")):
        rows = [f'{{"id": "c{n}", "{key}": "q{n}"}}\n' for n in range(20)]
        (path / f"{name}.jsonl").write_text("".join(rows), "utf-8")
    (path / "s.ftgate.yaml").write_text(
        'user: "{{ input }}"\ncases: cases.jsonl\nreply: {score: {python: "scores:score"}}\n'
        "variants: {a: {provider: recorded, replies: replies.jsonl}}\n"
        "gates: {accuracy: {min: 0.5}}\n",
        "utf-8",
    )

    result = desk.pytester.runpytest_subprocess("--ftgate", "s.ftgate.yaml")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert (path / "scored.txt").read_text("utf-8") == "c0\nc1\n"
