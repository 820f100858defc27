"""Commands that run within bounds, each in a copy of a process that has imported the package.

A copy starts in milliseconds. It may take so many seconds and megabytes, and what it does to
itself, it does to nobody else.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Seconds of the processor, and of the clock, that a command may take.
SECONDS, WAITING = 30, 300
#: Bytes of address space: what wants more has a MemoryError, and spares the machine.
ADDRESSES = 4 << 30
#: The switch of a command line that is one of pytest; all others are verbs.
PYTEST = "--ftgate"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: the exit code; the negative number of a signal that ended it.
        megabytes: the most memory that it had, with that of the process it is a copy of.
        printed: what it printed, errors too.
    """

    code: int
    megabytes: int
    printed: str


class Copier:
    """The process that is copied; its environment has no variable that *without* names."""

    def __init__(self, without: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "ftgate_testing.bounded"]
        environ = {name: value for name, value in os.environ.items() if name not in without}
        environ |= {"PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "200"}
        environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_PROXY": "127.0.0.1"}
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder: Path, arguments: Sequence[str], environ: dict[str, str]) -> Ended:
        """Run a verb of ours, or pytest, in *folder*, with *environ* besides what is there."""
        assert self._process.stdin
        assert self._process.stdout
        asked = {"folder": str(folder), "arguments": [*arguments], "environ": environ}
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        code, kilobytes = json.loads(self._process.stdout.readline())
        printed = (folder / "printed.txt").read_bytes().decode("utf-8", "backslashreplace")
        return Ended(code, kilobytes >> 10, printed)

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def copying() -> Iterator[Copier]:
    copier = Copier()
    try:
        yield copier
    finally:
        copier.close()


def _serve() -> None:
    """Run what the lines of the input ask for, one after the other."""
    import pytest

    from ftgate_testing.hostile import RUN, suite, write_files
    from pytest_ftgate.cli import compare, import_suite, main, record  # noqa: F401
    from pytest_ftgate.plugin import hooks

    # A sound run imports and compiles what all copies then have.
    answers, sys.stdout = sys.stdout, io.StringIO()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_files(Path(), suite())
        assert pytest.main([*RUN, "s.ftgate.yaml"], [hooks]) == 0, sys.stdout.getvalue()
    sys.stdout = answers
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        copy = os.fork()
        if not copy:
            os._exit(_copied(asked, lambda words: pytest.main(words, [hooks]), main.main))
        _, status, used = os.wait4(copy, 0)
        sys.stdout.write(f"{json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss])}\n")
        sys.stdout.flush()


def _copied(asked, pytest_main, verb_main) -> int:  # type: ignore[no-untyped-def]
    """Run one command in this process, and return its exit code."""
    import traceback

    os.chdir(asked["folder"])
    os.environ.update(asked["environ"])
    with Path("printed.txt").open("wb") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WAITING)
    arguments = asked["arguments"]
    code: object = 1
    try:
        code = (pytest_main if PYTEST in arguments else verb_main)(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0) if isinstance(code, int) or code is None else 1


if __name__ == "__main__":
    _serve()
