"""Run tests against mutants: ``trials.py FOLDER NAMES TEST ...``, in the folder ``mutants/`` there.

The tests are collected once, since that takes longer than most of them. Each mutant is tried in a
fork of that process by the tests that reach it, the fastest first, until one fails. Its exit code
is written at once to the file in which mutmut keeps it. Tests that fail without a mutant are left
out.
"""

from __future__ import annotations

import ast
import functools
import gc
import json
import os
import resource
import select
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path

import pytest
from mutmut.mutation import trampoline

CAUGHT, SURVIVED, UNTESTED = 1, 0, 33
#: The file that names the tests that fail without a mutant.
FAILING = "failing.txt"
#: A mutant may take so many times as long as its tests do, and so many seconds more.
TIMES, SECONDS = 3, 3
#: How many times as long as these seconds of CPU it may take.
_WAITING = 4
#: The bytes that it may have.
_MEMORY = 8 << 30
#: Tests that take more seconds of CPU are run only against mutants that no faster test reaches.
_SLOW = 0.5
#: A module that runs in a process of its own. The process has neither the environment nor the
#: packages that mutmut needs, so it runs a plain file.
_CHILD = "pytest_ftgate.scoring.sandbox_child"
_CHILD_FILE = f"{_CHILD.replace('.', '/')}.py"
#: Modules that remove folders. Their mutants may empty the current one, so they get another.
_REMOVES = ("pytest_ftgate.scoring.sandbox.", "pytest_ftgate.processes.")


class Trials:
    """Tries mutants instead of running the tests that pytest collected.

    Attributes:
        failed: whether a test failed since it was last set.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.failed = False
        self._folder, self._names = folder, names

    def pytest_sessionstart(self) -> None:
        """Do not look for the simplest example that catches a mutant: one is enough."""
        # Imported here, after pytest has prepared the plugin of Hypothesis.
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", deadline=None, derandomize=True, phases=phases)
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return False
        reaching, seconds = self._timed(session.items)
        session.testsfailed = 0
        trials = {name: _fast(_reached(name, reaching), seconds) for name in self._names}
        expected = {name: sum(map(seconds.get, tests)) for name, tests in trials.items()}
        for name in sorted(self._names, key=expected.get):
            tests = sorted(trials[name], key=seconds.get)
            code = self._tried(name, tests, expected[name]) if tests else UNTESTED
            keep(self._folder, name, code)
        return True

    def _timed(
        self, items: Sequence[pytest.Item]
    ) -> tuple[dict[str, list[pytest.Item]], dict[pytest.Item, float]]:
        """Return the tests that reach each function, by its name, and their seconds of CPU.

        Tests that fail without a mutant are left out, and named in the file `FAILING`.
        """
        reaching: dict[str, list[pytest.Item]] = defaultdict(list)
        seconds, reached, failing = {}, set(), []
        trampoline.record_trampoline_hit = lambda name, caller=None: reached.add(name)
        sys.addaudithook(lambda *event: _starts_child(*event) and reached.add(_CHILD))
        trampoline.set_mutant_under_test("stats")
        self._set_child()
        for item, after in zip(items, [*items[1:], None], strict=True):
            reached.clear()
            self.failed = False
            start = _seconds()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
            seconds[item] = _seconds() - start
            for name in () if self.failed else reached:
                reaching[name].append(item)
            failing += [item.nodeid] if self.failed else []
        self.failed = False
        (self._folder / FAILING).write_text("".join(f"{name}\n" for name in failing), "utf-8")
        trampoline.set_mutant_under_test("")
        return reaching, seconds

    def _tried(self, name: str, tests: Sequence[pytest.Item], expected: float) -> int:
        """Return the exit code of a process in which *tests* run against the mutant *name*."""
        limit = TIMES * ceil(expected) + SECONDS
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            trampoline.set_mutant_under_test(name)
            self._set_child(name)
            if name.startswith(_REMOVES):
                (self._folder / "scratch").mkdir(exist_ok=True)
                os.chdir(self._folder / "scratch")
            forget_results()
            os._exit(self._outcome(tests))
        try:
            _end_after(child, limit)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except KeyboardInterrupt:
            os.kill(child, 9)
            raise

    def _set_child(self, mutant: str = "") -> None:
        """Let processes of `_CHILD` run the plain file, with *mutant* if that is one of its own."""
        if _CHILD not in sys.modules:
            return
        source = (self._folder / _CHILD_FILE).read_text("utf-8")
        if mutant.startswith(_CHILD):
            made = (self._folder / "mutants" / _CHILD_FILE).read_text("utf-8")
            source = _with_mutant(source, made, mutant.rpartition(".")[2])
        child = self._folder / "child" / Path(_CHILD_FILE).name
        child.parent.mkdir(exist_ok=True)
        child.write_text(source, "utf-8")
        sys.modules[_CHILD].__file__ = str(child)

    def _outcome(self, tests: Iterable[pytest.Item]) -> int:
        try:
            for item in tests:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                if self.failed:
                    return CAUGHT
        except BaseException:  # noqa: BLE001 - whatever it is, it shows
            return CAUGHT
        return SURVIVED


def _end_after(child: int, seconds: int) -> None:
    """End a process that takes much longer than *seconds* of CPU, since it waits for something."""
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], _WAITING * seconds)[0]:
        os.kill(child, signal.SIGXCPU)
    os.close(handle)


def _seconds() -> float:
    """Return the seconds of CPU of this process and of those that it started."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _reached(name: str, reaching: Mapping[str, list[pytest.Item]]) -> list[pytest.Item]:
    """Return the tests that reach the function of the mutant *name*."""
    tests = reaching[name.rpartition("__mutmut_")[0]]
    return [*dict.fromkeys(tests + reaching[_CHILD])] if name.startswith(_CHILD) else tests


def _starts_child(event: str, details: tuple[object, ...]) -> bool:
    """Return True if an audit event of Python is the start of a process of `_CHILD`."""
    return event == "subprocess.Popen" and Path(_CHILD_FILE).name in str(details[1])


def _with_mutant(source: str, made: str, mutant: str) -> str:
    """Return *source* with one function replaced by its *mutant*, a function of the file *made*."""
    name = mutant.removeprefix("x_").partition("__mutmut_")[0]
    found = next(one for one in ast.parse(made).body if getattr(one, "name", "") == mutant)
    text = (ast.get_source_segment(made, found) or "").replace(mutant, name, 1)
    # The last definition counts.
    start, guard, end = source.partition("\nif __name__ ==")
    return f"{start}\n{text}\n{guard}{end}"


def _fast(tests: list[pytest.Item], seconds: Mapping[pytest.Item, float]) -> list[pytest.Item]:
    return [test for test in tests if seconds[test] <= _SLOW] or tests


def forget_results() -> None:
    """Clear the caches of functions: they hold what the code without a mutant returned."""
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper):
            found.cache_clear()


def keep(folder: Path, name: str, code: int) -> None:
    """Write the exit code of the mutant *name* where mutmut keeps it."""
    path = folder / f"mutants/{name.rpartition('.')[0].replace('.', '/')}.py.meta"
    meta = json.loads(path.read_text("utf-8"))
    meta["exit_code_by_key"][name] = code
    path.with_suffix(".new").write_text(json.dumps(meta), "utf-8")
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    folder, names, *tests = sys.argv[1:]
    trials = Trials(Path(folder), Path(names).read_text("utf-8").split())
    # A short traceback is quick to write, and each mutant that is caught writes one.
    options = ["-q", "-p", "no:xdist", "--tb=native"]
    raise SystemExit(pytest.main([*options, *tests], plugins=[trials]))
