"""A run is killed while it asks; the next one asks only what is missing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

DEADLINE = 60
#: After this many calls the function waits until a file appears, so that a run hangs asking.
ANSWERED = 20
HANGING = f"""\
import time
from pathlib import Path

HERE = Path(__file__).parent

def answer(case):
    with (HERE / "asked.txt").open("a") as stream:
        stream.write(case.id + "\\n")
    asked = len((HERE / "asked.txt").read_text().splitlines())
    while asked > {ANSWERED} and not (HERE / "go").exists():
        time.sleep(0.01)
    return case.expected
"""


@pytest.fixture
def killed(desk):
    """A desk after a run that was killed in the midst of a call, with its exit code."""
    desk.asking_suite(HANGING)
    command = [sys.executable, "-m", "pytest", "--ftgate", "--junitxml=junit.xml"]
    with subprocess.Popen(command, cwd=desk.pytester.path, stdout=subprocess.DEVNULL) as run:
        end = time.monotonic() + DEADLINE
        while len(desk.asked()) <= ANSWERED and time.monotonic() < end:
            time.sleep(0.05)
        run.kill()
    desk.path("code").write_text(str(run.returncode))
    assert len(desk.asked()) == ANSWERED + 1
    desk.path("go").touch()
    return desk


def test_a_killed_run_has_no_verdict_and_keeps_its_replies_and_the_next_asks_the_others(killed):
    assert killed.path("code").read_text() == str(-signal.SIGKILL)
    assert not killed.path("junit.xml").exists()
    with closing(sqlite3.connect(killed.path(".ftgate/cache.sqlite"))) as cache:
        (count,) = cache.execute("SELECT count(*) FROM replies").fetchone()
    assert count == ANSWERED

    result = killed.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 80 requested*"])
    assert len(killed.asked()) == killed.cases + 1
