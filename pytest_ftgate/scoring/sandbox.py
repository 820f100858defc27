"""Model-written code, run against tests in a sandboxed process with a time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.scoring import sandbox_child
from pytest_ftgate.scoring.score import RIGHT, Mark
from pytest_ftgate.scoring.structured import last_fenced
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

__all__ = ["SECONDS", "Late", "Limit", "can_shut_in", "code", "sandboxed"]

#: Bytes that all files of one run may hold together, and how many files there may be.
_MOST_BYTES, _MOST_FILES = 16 << 20, 1000
#: Seconds between two looks at a run.
_POLL_SECONDS = 0.01
#: What is read of what a run tells, in bytes.
_LONGEST = 4096
#: What Python may need to find its own library; no secret is kept in it.
_KEPT = "LD_LIBRARY_PATH"


def code(text: str, accepted: list[Any], rule: Rule) -> Mark:
    """Mark the code in *text*, its last fence or all of it, by whether the tests hold.

    Raises:
        ScorerError: the process could not be shut in.
    """
    fenced = last_fenced(text)
    tests = "\n".join(filter(None, [rule.value, *accepted]))
    wrong = _ran(text if fenced is None else fenced, tests, *_bounds(rule.options))
    return Mark(0.0, wrong) if wrong else RIGHT


def _bounds(options: Mapping[str, Any]) -> tuple[float, int, str]:
    seconds, memory = options.get("seconds", 5), options.get("memory_mb", 1024)
    return seconds, memory, options.get("sandbox") or ""


@cache
def can_shut_in() -> bool:
    """Tell whether this machine has what it takes to shut code in; nothing is started."""
    return sandbox_child.has_landlock()


@cache
def sandboxed() -> None:
    """Make sure that code can be shut in here.

    Raises:
        Unavailable: it cannot.
    """
    try:
        _ran("", "", 30.0, 1024, "")
    except ScorerError as error:
        told = f"{error}; run it on Linux from 5.13 on (x86-64, ARM64)"
        told += ", or write sandbox: none, and the code may do all that you may"
        raise Unavailable(told) from error


@lru_cache(maxsize=4096)
def _ran(reply: str, tests: str, seconds: float, memory_mb: int, sandbox: str) -> str:
    """Run *tests* on *reply*; return what is wrong in a line, or an empty text.

    The same run is made once: looks at the same replies follow one another.
    """
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        for name, source in zip(sandbox_child.FILES, (reply, tests), strict=True):
            Path(folder, name).write_bytes(source.encode("utf-8", "surrogatepass"))
        with _started(folder, seconds, memory_mb, sandbox) as process:
            try:
                late = _watched(process, Path(folder), seconds)
            finally:
                _kill(process)
            return late or _ending(process)


def _started(folder: str, seconds: float, memory_mb: int, sandbox: str) -> subprocess.Popen[bytes]:
    kept = {_KEPT: os.environ[_KEPT]} if _KEPT in os.environ else {}
    arguments = (sandbox_child.__file__, folder, str(seconds), str(memory_mb), sandbox)
    return subprocess.Popen(  # noqa: S603 - what runs is our own file
        [sys.executable, "-I", "-X", "utf8", *arguments],
        cwd=folder,
        env={"HOME": folder, "TMPDIR": folder, **kept},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _watched(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> str:
    """Wait for the end of a run; return why it was not waited for."""
    last = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > last:
            return f"took longer than {seconds:g} s"
        if _is_full(folder):
            return f"wrote more than {_MOST_BYTES >> 20} MB or {_MOST_FILES} files"
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
    return ""


def _is_full(folder: Path) -> bool:
    """Tell whether *folder* holds too much; no more is counted than may be there."""
    size, files, folders = 0, 0, [str(folder)]
    while folders and size <= _MOST_BYTES and files <= _MOST_FILES:
        with suppress(OSError), os.scandir(folders.pop()) as found:
            for entry in found:
                files += 1
                size += entry.stat(follow_symlinks=False).st_size
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                if files > _MOST_FILES:
                    break
    return size > _MOST_BYTES or files > _MOST_FILES


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all of its group, those that it left behind too."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _ending(process: subprocess.Popen[bytes]) -> str:
    """Return what a run told; one that told nothing ended itself before its tests had."""
    told = _output(process).decode("utf-8", "replace")
    if process.returncode == sandbox_child.CANNOT:
        raise ScorerError(f"code cannot be shut in here ({told})")
    try:
        wrong = json.loads(told)
    except ValueError:
        return f"ended before its tests had, with exit code {process.returncode}"
    return str(wrong)


def _output(process: subprocess.Popen[bytes]) -> bytes:
    """Return what stands in the pipe; it may still be held open by what was left behind."""
    if process.stdout is None:
        return b""
    os.set_blocking(process.stdout.fileno(), False)
    return process.stdout.read(_LONGEST) or b""


#: Seconds that all scorers of a case may take over one reply, beside those that they declare.
SECONDS = 10.0
#: Seconds between two looks at how long a reply has taken; one that swallowed the news is told
#: again.
_CHECK_SECONDS = 0.5
#: What a run of code takes where its rule declares nothing.
_USUAL = {"code": 5.0}

_T = TypeVar("_T")


class Late(BaseException):
    """Ends a scorer; no Exception, so that its own ``except Exception`` misses it."""


class Limit:
    """Stops what takes too long, by an alarm of the operating system.

    The alarm also ends a pattern of the standard library that would search for ever. There is
    none on Windows, nor outside of the main thread; there nothing is stopped. An alarm that was
    set before, as by pytest-timeout, is set again when this one is over.
    """

    def __init__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        self._can = in_main and hasattr(signal, "setitimer")
        self._rang = False
        self._case: Case | None = None
        self._began = self._since = time.monotonic()

    def __enter__(self) -> Self:
        """Take the alarm over; it rings now and then, and looks at how long a reply has taken.

        To set it anew for each reply would cost as much as to score most of them.
        """
        if self._can:
            self._handler = signal.signal(signal.SIGALRM, self._ring)
            self._left = signal.setitimer(signal.ITIMER_REAL, _CHECK_SECONDS, _CHECK_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the alarm back, less the time that has passed."""
        if not self._can:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        seconds, every = self._left
        if seconds:
            rest = seconds - (time.monotonic() - self._began)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 0.001), every)

    def over(self, case: Case, run: Callable[[], _T]) -> _T:
        """Return what *run* makes of one reply to *case*.

        Raises:
            ScorerError: it took too long, which says nothing of the reply.
        """
        if not self._can:
            return run()
        try:
            try:
                self._rang, self._since, self._case = False, time.monotonic(), case
                made = run()
            finally:
                self._case = None
        except Late:
            raise ScorerError(_too_slow(case)) from None
        if self._rang:  # and was swallowed
            raise ScorerError(_too_slow(case))
        return made

    def _ring(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._case and time.monotonic() - self._since > _allowed(self._case):
            self._rang = True
            raise Late


def _allowed(case: Case) -> float:
    return SECONDS + sum(map(_more, (*case.score.parts, *case.format)))


def _more(rule: Rule) -> float:
    # What a plugin offers has options of its own, whatever they are called.
    own = {} if rule.kind == "offered" else rule.options
    return float(own.get("seconds", _USUAL.get(rule.kind, 0)))


def _too_slow(case: Case) -> str:
    named = [("score", rule) for rule in case.score.parts]
    named += [("format", rule) for rule in case.format]
    told = ", ".join(f"{key}: {_name(rule)}" for key, rule in named)
    remedy = "make it quicker, or give a function more: {python: {function: ..., seconds: 60}}"
    return (
        f'{told} took longer than {_allowed(case):g} s on case "{case.id}" ({case.where}); {remedy}'
    )


def _name(rule: Rule) -> str:
    return str(rule.value) if rule.kind == "offered" else rule.kind
