"""Each call is paid for once: through kills, beside other processes, however xdist spreads them."""

from __future__ import annotations

import runpy
import sys
from collections import Counter
from pathlib import Path

import pytest
from ftgate_testing.counting import counting, write_suite
from ftgate_testing.tables import heavy

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
#: A run without the gates, which is killed before it comes to them anyway.
ASK = """
import os, time
from pathlib import Path
from uuid import uuid4
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.requests.request import distinct_requests
from pytest_ftgate.suite.loader import load_suite

suite = load_suite(Path("tickets.ftgate.yaml").resolve(), Path.cwd(), None)
variants = suite.variants.values()
requests = [case for variant in variants for case in task_requests(suite, variant, os.environ)]
cache = Cache(Path(".ftgate/cache.sqlite"), run=uuid4().hex, clock=time.time)
engine = Engine(cache, os.environ, concurrency=4)
engine.wait(distinct_requests(requests))
engine.close()
"""


@pytest.fixture
def benchmark(monkeypatch):
    """Return what a benchmark does when it is run."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    return lambda name: runpy.run_path(str(BENCHMARKS / f"{name}.py"))["main"]


@pytest.fixture
def served(desk):
    """A desk whose suite asks a slow server; with it the server and the number of its calls."""
    with counting(0.01) as server:
        yield desk, server, write_suite(desk.pytester.path, 60, server.port)


def test_kills_cost_what_was_in_flight_and_no_more(benchmark, capsys):
    code = benchmark("kills")(2, 200, (sys.executable, "-c", ASK))

    assert code == 0, capsys.readouterr().out


def test_two_runs_at_once_send_each_call_once(benchmark, capsys):
    code = benchmark("two_processes")(120)

    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "mode", ["worksteal", *map(heavy, ("load", "loadscope", "loadfile", "loadgroup"))]
)
def test_workers_send_each_call_once_and_reach_the_verdicts_of_one_process(served, mode):
    desk, server, calls = served
    result = desk.run("-n", "2", "--dist", mode)
    spread = desk.verdicts()

    desk.run("--ftgate-replies=recorded")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["PASSED  4 gates*", f"* replies: * cached, {calls} requested in *"]
    )
    assert len(spread) == 4
    assert spread == desk.verdicts()
    assert set(Counter(server.asked).values()) == {1}
    assert len(server.asked) == calls
