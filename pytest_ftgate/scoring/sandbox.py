"""The scorer ``code``: model-written code, tested in a sandbox."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.processes import entries_of, kill_group, temporary_folder
from pytest_ftgate.scoring import sandbox_child
from pytest_ftgate.scoring.score import CORRECT, ContentScore
from pytest_ftgate.scoring.structured import last_code_block
from pytest_ftgate.suite.rule import Rule

#: The most bytes that all files of one run may hold together, and the most files.
_MAX_BYTES, _MAX_FILES = 16 << 20, 1000
#: How many results of runs are kept.
CACHED_RUNS = 4096
#: Seconds between two checks of a running process.
_POLL_SECONDS = 0.01
#: The most bytes that are read from the output of a run.
_MAX_OUTPUT = 4096
#: The one variable of the environment that a run inherits. Python may need it to find libraries.
_INHERITED = "LD_LIBRARY_PATH"


def score_code(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    """Score the code in *text*, its last code block or all of it: 1 if the tests pass.

    Raises:
        ScorerError: the process could not be sandboxed.
    """
    block = last_code_block(text)
    tests = "\n".join(filter(None, [rule.value, *accepted]))
    seconds, memory_mb = rule.options.get("seconds", 5), rule.options.get("memory_mb", 1024)
    sandbox = rule.options.get("sandbox") or ""
    failure = _run_tests(text if block is None else block, tests, seconds, memory_mb, sandbox)
    return ContentScore(0.0, failure) if failure else CORRECT


@cache
def can_sandbox() -> bool:
    """Return True if this machine can sandbox code. Starts no process."""
    return sandbox_child.has_landlock()


@cache
def require_sandbox() -> None:
    """Raise an error if this machine cannot sandbox code. Runs a trial process.

    Raises:
        ConfigurationError: code cannot be sandboxed here.
    """
    try:
        _run_tests("", "", 30.0, 1024, "")
    except ScorerError as error:
        message = f"{error}; run it on Linux from 5.13 on (x86-64, ARM64)"
        message += ", or write sandbox: none, and the code may do all that you may"
        raise ConfigurationError(message) from error


@lru_cache(maxsize=CACHED_RUNS)
def _run_tests(reply: str, tests: str, seconds: float, memory_mb: int, sandbox: str) -> str:
    """Run *tests* on *reply*; return the first failure in one line, or "".

    The result is cached, because each look of a gate scores the same replies again.
    """
    with temporary_folder() as folder:
        token = token_hex(16).encode()
        for name, source in zip(sandbox_child.FILE_NAMES, (reply, tests), strict=True):
            Path(folder, name).write_bytes(source.encode("utf-8", "surrogatepass"))
        with _start(folder, seconds, memory_mb, sandbox) as process:
            try:
                exceeded = _wait(process, token, folder, seconds)
            finally:
                kill_group(process)
            return exceeded or _read_failure(process, token)


def _start(folder: str, seconds: float, memory_mb: int, sandbox: str) -> subprocess.Popen[bytes]:
    inherited = {_INHERITED: os.environ[_INHERITED]} if _INHERITED in os.environ else {}
    arguments = (sandbox_child.__file__, folder, str(seconds), str(memory_mb), sandbox)
    return subprocess.Popen(  # noqa: S603 - the program is our own file
        [sys.executable, "-I", "-X", "utf8", *arguments],
        cwd=folder,
        env={"HOME": folder, "TMPDIR": folder, **inherited},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], token: bytes, folder: str, seconds: float) -> str:
    """Give the process its *token*, and wait until it ends.

    Returns:
        The limit that it exceeded, or "".
    """
    deadline = time.monotonic() + seconds
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as stream:
            stream.write(token)
    while process.poll() is None and not _is_full(folder):
        if time.monotonic() > deadline:
            return f"took longer than {seconds:g} s"
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
    full = f"wrote more than {_MAX_BYTES >> 20} MB or {_MAX_FILES} files"
    return full if _is_full(folder) else ""


def _is_full(top: str) -> bool:
    """Return True if the folder *top* exceeds a limit. Counting stops there."""
    size, files, folders = 0, 0, [top]
    while folders and size <= _MAX_BYTES and files <= _MAX_FILES:
        try:
            for entry in entries_of(folders.pop()):
                files += 1
                size += entry.stat(follow_symlinks=False).st_size
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                if files > _MAX_FILES:
                    break
        except OSError as error:
            # Files may vanish meanwhile. Below a path that is too long, nothing can be counted.
            if error.errno == errno.ENAMETOOLONG:
                return True
    return size > _MAX_BYTES or files > _MAX_FILES


def _read_failure(process: subprocess.Popen[bytes], token: bytes) -> str:
    """Return the failure that the process reported, or "".

    A process without a report ended before its tests did. That is a failure too.
    """
    raw = b""
    if process.stdout is not None:
        # Without waiting: a child process may hold the pipe open.
        os.set_blocking(process.stdout.fileno(), False)
        raw = process.stdout.read(_MAX_OUTPUT) or b""
    # Code that runs may end with any exit code.
    is_ready = raw.startswith(sandbox_child.READY)
    if process.returncode == sandbox_child.EXIT_NOT_SANDBOXED and not is_ready:
        reason = raw.decode("utf-8", "replace")
        raise ScorerError(f"code cannot be sandboxed on this machine ({reason})")
    report = raw.removeprefix(sandbox_child.READY)
    try:
        if report.startswith(token):
            return str(json.loads(report.removeprefix(token)))
    except ValueError:
        pass
    return f"ended before its tests had, with exit code {process.returncode}"
