"""The plugin is a guest: what it does to the process must not change other tests."""

from __future__ import annotations

import sys

import pytest

LEAK = """\
class Holder: pass

def test_leaks_a_file_in_a_cycle(tmp_path):
    holder = Holder()
    holder.itself = holder
    holder.file = open(tmp_path / "x", "w")
"""
#: pytest before 8.4 sees a leak only while a test runs, so one must run after the gates.
COLLECTS = """\
import gc

def test_collects():
    gc.collect()
"""
#: Compares the process with what it was before the plugin did anything, when all is over.
WATCH = """\
import gc
import signal
import sys

import pytest

def state():
    return {
        "finders": [*sys.meta_path],
        "handler": signal.getsignal(signal.SIGINT),
        "switch interval": sys.getswitchinterval(),
        "collects": gc.isenabled(),
        "frozen": gc.get_freeze_count(),
    }

BEFORE = state()
SEEN = []

def pytest_ftgate_verdict(verdict):
    SEEN.append("verdict")
    assert state() == BEFORE

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    changed = [name for name, value in state().items() if value != BEFORE[name]]
    print("changed:", changed, "verdicts:", len(SEEN))
"""
#: Notes the state of the process while requests are in flight.
ANSWERS = """\
import gc
import signal
import sys

def answer(case):
    hooks = [type(finder).__module__ for finder in sys.meta_path]
    handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with open("during.txt", "a") as stream:
        print("_pytest.assertion.rewrite" in hooks, handler, gc.isenabled(), file=stream)
    return case.expected
"""
STRICT = (
    *("-W", "error::ResourceWarning", "-W", "error::pytest.PytestUnraisableExceptionWarning"),
    *("-p", "no:xdist"),
)


@pytest.fixture
def fresh(desk):
    """Run pytest in a process of its own."""

    def run(*args: str) -> pytest.RunResult:
        return desk.pytester.run(sys.executable, "-m", "pytest", *args)

    return run


def test_a_leak_of_an_ordinary_test_is_seen_with_gates_as_without(desk, fresh):
    desk.pytester.makepyfile(LEAK)
    if pytest.version_tuple < (8, 4):
        desk.path("zz_test.py").write_text(COLLECTS, "utf-8")
    desk.asking_suite()

    without = fresh(*STRICT)
    with_gates = fresh(*STRICT, "--ftgate")

    # The collector decides when pytest sees it: before the next test, or at the end.
    for result in (without, with_gates):
        printed = f"{result.stdout}{result.stderr}"
        assert "PytestUnraisableExceptionWarning: Exception ignored in" in printed
    assert (without.ret, with_gates.ret) == (1, 1)


def test_the_process_is_left_as_it_was_found(desk, fresh):
    desk.asking_suite(ANSWERS)
    desk.path("conftest.py").write_text(WATCH)

    result = fresh("-s", "--ftgate")

    result.stdout.fnmatch_lines(["*1 passed*", "changed: [[][]] verdicts: 1"])
    assert {*desk.path("during.txt").read_text().splitlines()} == {"True True True"}
