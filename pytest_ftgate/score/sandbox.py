"""Code that a model wrote, run against tests in a process of its own that is shut in and timed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.score import cell
from pytest_ftgate.score.fences import last_fenced
from pytest_ftgate.score.mark import RIGHT, Mark
from pytest_ftgate.suite.rules import Rule

__all__ = ["can_shut_in", "code", "sandboxed"]

#: Bytes that all files of one run may hold together, and how many files there may be.
_MOST_BYTES, _MOST_FILES = 16 << 20, 1000
#: Seconds between two looks at a run.
_TICK = 0.01
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
    return cell.has_landlock()


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
        for name, source in zip(cell.FILES, (reply, tests), strict=True):
            Path(folder, name).write_bytes(source.encode("utf-8", "surrogatepass"))
        with _started(folder, seconds, memory_mb, sandbox) as process:
            try:
                late = _watched(process, Path(folder), seconds)
            finally:
                _kill(process)
            return late or _ending(process)


def _started(folder: str, seconds: float, memory_mb: int, sandbox: str) -> subprocess.Popen[bytes]:
    kept = {_KEPT: os.environ[_KEPT]} if _KEPT in os.environ else {}
    arguments = (cell.__file__, folder, str(seconds), str(memory_mb), sandbox)
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
            process.wait(_TICK)
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
    told = _told(process).decode("utf-8", "replace")
    if process.returncode == cell.CANNOT:
        raise ScorerError(f"code cannot be shut in here ({told})")
    try:
        wrong = json.loads(told)
    except ValueError:
        return f"ended before its tests had, with exit code {process.returncode}"
    return str(wrong)


def _told(process: subprocess.Popen[bytes]) -> bytes:
    """Return what stands in the pipe; it may still be held open by what was left behind."""
    if process.stdout is None:
        return b""
    os.set_blocking(process.stdout.fileno(), False)
    return process.stdout.read(_LONGEST) or b""
