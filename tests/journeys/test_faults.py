"""The fault matrix: what is promised when a server, a disk, a clock or a version is at fault."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

import pytest
from ftgate_testing.faults import PROMISES, SERVED_FAULTS
from ftgate_testing.faulty_server import CASES, LABELS, SOUND, faulty_server

from pytest_ftgate.cli.main import main

#: Lets the run lose patience at once, and keep the limits of a body and of a reply small.
HASTY = f"""\
import aiohttp
from pytest_ftgate.client import rate_limit, scheduler
from pytest_ftgate.providers import http, openai

rate_limit.RetryPolicy._backoff = lambda *_: 0.001
rate_limit._PROBE_EVERY = 0.001
http.MAX_BODY = 100_000
for name in ("REFUSING", "REPLYING", "UNREACHABLE"):
    setattr(scheduler, name, rate_limit.Backoff(2, 0.001, 0.001))
send = aiohttp.ClientSession.request

def hasty(self, method, url, *, json=None, **options):
    if json and json["model"] == "slow drip":
        if int(json["messages"][-1]["content"].split()[1]) >= {SOUND}:
            options["timeout"] = aiohttp.ClientTimeout(total=0.2)
    return send(self, method, url, json=json, **options)

aiohttp.ClientSession.request = hasty
"""


@dataclass(frozen=True, slots=True)
class Runs:
    """Two runs against a server with faults: the second one after it is mended.

    Attributes:
        codes: their exit codes.
        errors: the errors of each run by the variant; a gate that passed has none.
        kept: how many replies of a model the cache has after the first run.
        first: the models and cases that the server had answered by then.
        answered: how often each was answered in both runs.
    """

    codes: list[int]
    errors: list[dict[str, str]]
    kept: dict[str, int]
    first: set[tuple[str, int]]
    answered: Counter[tuple[str, int]]


def write_suite(folder, url):
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(CASES)
    ]
    (folder / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    names = ("sound", *(fault.name for fault in SERVED_FAULTS))
    provider = f'provider: openai-compatible, base_url: "{url}/v1"'
    variants = "".join(f'  "{name}": {{{provider}, model: "{name}"}}\n' for name in names)
    head = "cases: c.jsonl\nreply: {format: {choice: [billing, refund]}}\nvariants:\n"
    suite = f"{head}{variants}gates: {{format: {{min: 0.5}}}}\n"
    (folder / "s.ftgate.yaml").write_text(suite, "utf-8")
    (folder / "conftest.py").write_text(HASTY, "utf-8")


def run_gates(folder):
    """Return the exit code of a run, and the error of each variant."""
    environ = {**os.environ, "NO_PROXY": "127.0.0.1"}
    options = ("-m", "pytest", "-q", "--ftgate", "--junitxml=junit.xml", "-p", "no:cacheprovider")
    run = subprocess.run(
        [sys.executable, *options], cwd=folder, env=environ, capture_output=True, check=False
    )
    errors = {
        re.fullmatch(r"format\[(.*)\]", case.get("name"))[1]: error.text or ""
        for case in ET.parse(folder / "junit.xml").iter("testcase")
        for error in (*case.iter("error"), *case.iter("failure"))
    }
    return run.returncode, errors


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with faulty_server() as server:
        write_suite(folder, server.url)
        first = run_gates(folder)
        with closing(sqlite3.connect(folder / ".ftgate/cache.sqlite")) as cache:
            kept = dict(cache.execute("SELECT model, count(*) FROM replies GROUP BY model"))
        answered = set(server.answered)
        server.is_mended = True
        second = run_gates(folder)
        codes, errors = zip(first, second, strict=True)
        return Runs([*codes], [*errors], kept, answered, Counter(server.answered))


def replies_are_kept(runs, fault):
    came = {number for model, number in runs.first if model == fault.name}
    kept = runs.kept.get(fault.name, 0)
    # Those of another model are kept as well.
    is_whole = kept >= len(came) if fault.lasts else kept == len(came)
    return is_whole and came <= {*range(SOUND)}


def each_is_paid_once(runs, fault):
    times = [n for (model, _), n in runs.answered.items() if model == fault.name]
    return {*times} == {1} and (fault.lasts or len(times) == CASES)


def the_broken_run_alone_is_red(runs, fault):
    return fault.name in runs.errors[0] and (fault.name in runs.errors[1]) == fault.lasts


def the_message_tells(runs, fault):
    told = runs.errors[0][fault.name]
    same = re.search(r"the same error as \S+format\[(.*)\]", told)
    told = runs.errors[0][same[1]] if same else told
    return bool(re.search(fault.message, " ".join(told.split())))


def the_run_ends_red_though_others_are_sound(runs, fault):
    return runs.codes == [pytest.ExitCode.TESTS_FAILED] * 2 and "sound" not in runs.errors[0]


#: What is promised, and whether it is held with a fault.
HELD = {
    "no reply lost": replies_are_kept,
    "none paid twice": each_is_paid_once,
    "no false pass": the_broken_run_alone_is_red,
    "message": the_message_tells,
    "exit code": the_run_ends_red_though_others_are_sound,
}


@pytest.mark.parametrize("promise", PROMISES)
def test_of_a_server(runs, promise):
    broken = [fault.name for fault in SERVED_FAULTS if not HELD[promise](runs, fault)]

    assert broken == [], runs.errors[0]


# This machine -----------------------------------------------------------------------------------


def test_a_clock_that_goes_back_changes_nothing(desk, monkeypatch):
    desk.asking_suite()
    now = iter(range(2_000_000_000, 0, -1_000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))

    first, second = desk.run(), desk.run()

    assert (first.ret, second.ret) == (pytest.ExitCode.OK, pytest.ExitCode.OK)
    assert sorted(desk.asked()) == sorted({*desk.asked()})
    second.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: 100 cached*"])


#: Root writes what is read-only, unless it gives up the capability.
BOUND = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


@pytest.mark.skipif(sys.platform != "linux", reason="needs the capabilities of Linux")
def test_a_cache_that_is_read_only_stops_the_run_before_it_pays(desk):
    desk.asking_suite()
    assert desk.run().ret == pytest.ExitCode.OK
    cache = desk.path(".ftgate/cache.sqlite")
    with closing(sqlite3.connect(cache)) as file, file:
        file.execute("DELETE FROM replies WHERE rowid % 2")
    before = cache.read_bytes()
    cache.chmod(0o444)
    cache.parent.chmod(0o555)

    bound = BOUND if os.getuid() == 0 else ()
    options = ("-m", "pytest", "--ftgate", "-p", "no:cacheprovider")
    result = desk.pytester.run(*bound, sys.executable, *options)
    cache.parent.chmod(0o755)

    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    printed = " ".join(result.stdout.str().split())
    assert "cannot be used: attempt to write a readonly database; move it away, or name" in printed
    assert len(desk.asked()) == desk.cases
    assert cache.read_bytes() == before


def test_a_cache_of_a_newer_version_stops_the_run_before_it_pays(desk):
    desk.asking_suite()
    desk.path("other.sqlite").touch()
    with closing(sqlite3.connect(desk.path("other.sqlite"))) as cache:
        cache.execute("PRAGMA journal_mode = WAL")
        cache.execute("PRAGMA user_version = 99")
    before = desk.path("other.sqlite").read_bytes()

    result = desk.run("--ftgate-cache=other.sqlite")

    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "its format 99 is newer than this version reads" in " ".join(result.stdout.str().split())
    assert desk.asked() == []
    assert desk.path("other.sqlite").read_bytes() == before


#: Until the run ends, the files of its process may not grow beyond this.
FULL = """\
import resource

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

def pytest_unconfigure():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited there")
def test_on_a_full_disk_the_run_ends_red_and_the_next_one_sends_the_rest(desk):
    desk.asking_suite()
    desk.path("conftest.py").write_text(FULL, "utf-8")

    goes_on_after(desk, "cannot be written: ")


#: Another process of a later version brings the cache to its format, during the run.
TAKEN_OVER = """\
import sqlite3
from contextlib import closing

from pytest_ftgate.cache.cache import Cache

store_all, calls = Cache.store_all, []

def store_all_and_take_over(cache, exchanges):
    calls.append(len(exchanges))
    if len(calls) == 2:
        with closing(sqlite3.connect(cache.path)) as file, file:
            file.execute("PRAGMA user_version = 99")
    store_all(cache, exchanges)

Cache.store_all = store_all_and_take_over
"""


def test_a_cache_that_a_newer_version_takes_over_gets_no_reply_of_this_one(desk):
    desk.asking_suite()
    desk.path("conftest.py").write_text(TAKEN_OVER, "utf-8")

    def upgrade():
        with closing(sqlite3.connect(desk.path(".ftgate/cache.sqlite"))) as cache:
            ((stored,),) = cache.execute("SELECT count(*) FROM replies")
            assert 0 < stored < desk.cases
            cache.execute("PRAGMA user_version = 2")

    told = "cannot be written: its format 99 is newer than this version reads; the run sends no"
    goes_on_after(desk, told, upgrade)


def goes_on_after(desk, told, mend=lambda: None):
    """Run with a fault, import what was put aside, and run again: no request is sent twice."""
    broken = desk.pytester.runpytest_subprocess("--ftgate", "-p", "no:cacheprovider")
    desk.path("conftest.py").unlink()
    mend()
    printed = " ".join(broken.stdout.str().split())
    aside = re.search(r"pytest-ftgate cache import (\S+\.jsonl)", printed)[1]
    assert main(["cache", "import", aside]) == 0
    sent = len(desk.asked())
    result = desk.run()

    broken.assert_outcomes(errors=1)
    assert broken.ret == pytest.ExitCode.TESTS_FAILED
    assert told in printed
    assert 0 < sent < desk.cases
    result.assert_outcomes(passed=1)
    assert sorted(desk.asked()) == sorted({*desk.asked()})
