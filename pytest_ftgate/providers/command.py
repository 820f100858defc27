"""Programs that answer one case each, such as coding agents: one process a case and run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import time
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from errno import E2BIG
from pathlib import Path
from shutil import copyfile
from typing import Any

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.processes import kill_group, temporary_folder
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.commands import command_arguments

#: What every program inherits of the environment: where programs and libraries are, and no key.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"),
    *("SYSTEMROOT", "TEMP", "USERPROFILE"),
)
#: The most bytes that are read of each end of the output, and the most characters of an error that
#: are shown.
_MAX_OUTPUT, _MAX_SHOWN = 1 << 20, 300
#: A program that writes more bytes is ended, and how often that is looked at, in seconds.
_MAX_WRITTEN, _LOOK_SECONDS = 1 << 28, 0.5
#: A reward that stands among so many last characters, but not as JSON in the last line.
_LAST_CHARACTERS, _UNREAD = 2000, re.compile(r"""["']reward["']\s*:""")
#: The files that have what a program writes.
_OUTPUTS = ("out", "error")
#: The exit code of a program that did not solve its case.
_UNSOLVED = 1
_STATED_RUN = '{"reward": 1, "cost_usd": 0.12, "tool_calls": 7, "uses": ["pdf"], "seconds": 61.5}'
#: What it may state of its run beside the reward.
_FACTS = ("cost_usd", "tool_calls", "uses", "seconds")
_STATED = '{"reward": 0.5, "text": "what it did"}'


class CommandProvider(Provider):
    """Answers a case by a program: its output is the reply, its exit code or JSON the reward."""

    def __init__(self, requests: Sequence[Request], environ: Mapping[str, str]) -> None:
        super().__init__(requests, environ)
        self._environ = environ
        self.concurrency = self.max_concurrency = requests[0].runtime.get("slots", 1)
        self._pool = ThreadPoolExecutor(self.concurrency)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    async def generate(self, request: Request) -> Reply:
        """Return what the program of *request* made of its case.

        Raises:
            RequestRejected: the program could not work: that says nothing about the case.
            ProviderRejected: there is no such program.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._run, request)
        except CancelledError:
            self._kill_all()
            raise

    def _run(self, request: Request) -> Reply:
        with temporary_folder() as folder, temporary_folder() as outputs:
            for name, path in request.runtime.get("files", ()):
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                copyfile(path, target)
                target.chmod(path.stat().st_mode)
            start = time.perf_counter()
            code = self._wait(request, Path(folder), Path(outputs))
            seconds = time.perf_counter() - start
            (out, last), (_, error) = (_ends(Path(outputs, name)) for name in _OUTPUTS)
        return _reply(request, code, out, last, error, seconds)

    def _wait(self, request: Request, folder: Path, outputs: Path) -> int | None:
        """Run the program, and return its exit code; None if it took too long."""
        if self._is_closed:
            raise RequestRejected("the run has ended")
        process = _start(request, folder, outputs, self._environ)
        self._running.add(process)
        try:
            return _ended(process, request.options["seconds"], outputs)
        finally:
            # What it left behind must not go on: it would work on the next case as well.
            kill_group(process)
            self._running.discard(process)

    def _kill_all(self) -> None:
        for process in [*self._running]:
            kill_group(process)

    def serves(self, request: Request) -> bool:
        """Return True: each request has a process of its own."""
        return bool(request)

    async def close(self) -> None:
        """End the programs that still run."""
        self._is_closed = True
        self._kill_all()
        self._pool.shutdown(wait=False)


def _start(
    request: Request, folder: Path, outputs: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the program in *folder*; its input is the case, its output goes to files."""
    case = request.case
    if case is None:
        raise ProviderRejected("a command answers cases")
    program, *arguments = command_arguments(tuple(request.options["run"]), case, request.repeat)
    copied = folder / program
    given = {"id": case.id, "input": case.input, "messages": case.messages, "vars": dict(case.vars)}
    Path(outputs, "in").write_text(json.dumps({**given, "run": request.repeat + 1}), "utf-8")
    try:
        with (
            Path(outputs, "in").open("rb") as stdin,
            Path(outputs, "out").open("wb") as stdout,
            Path(outputs, "error").open("wb") as stderr,
        ):
            return subprocess.Popen(  # noqa: S603 - a list of arguments, and no shell
                [str(copied) if copied.is_file() else program, *arguments],
                cwd=folder,
                env=_variables(request, environ),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=os.name != "nt",
            )
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno == E2BIG:
            # Other cases may well fit.
            remedy = "leave the template out of run: the program can read the case from its input"
            raise RequestRejected(f"{program}: {error}; {remedy}") from error
        raise ProviderRejected(f"{program} cannot be started: {error}") from error


def _variables(request: Request, environ: Mapping[str, str]) -> dict[str, str]:
    names = {*_INHERITED, *request.options["keys"]}
    passed = {name: value for name, value in environ.items() if name in names}
    return {**passed, **request.options["env"]}


def _ended(process: subprocess.Popen[bytes], seconds: float, outputs: Path) -> int | None:
    """Wait for the end of *process*, and return its exit code; None if it took too long.

    Raises:
        RequestRejected: it writes without end, which would fill the disk.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0.0:
        try:
            return process.wait(min(left, _LOOK_SECONDS))
        except subprocess.TimeoutExpired:
            if sum((outputs / name).stat().st_size for name in _OUTPUTS) > _MAX_WRITTEN:
                msg = f"the program wrote over {_MAX_WRITTEN >> 20} MiB of output and was ended"
                raise RequestRejected(msg) from None
    return None


def _ends(path: Path) -> tuple[str, str]:
    """Return the start and the end of a file; of a short one both are the whole."""
    with path.open("rb") as stream:
        start = stream.read(_MAX_OUTPUT)
        stream.seek(max(0, path.stat().st_size - _MAX_OUTPUT))
        return start.decode("utf-8", "replace"), stream.read().decode("utf-8", "replace")


def _reply(
    request: Request, code: int | None, out: str, last: str, error: str, seconds: float
) -> Reply:
    """Return the reply that a program gave; *out* is the start of its output, *last* the end.

    Raises:
        RequestRejected: it could not work, by its own words or by its exit code.
    """
    name = Path(request.options["run"][0]).name
    if code is None:
        # The program had its time: that it did not solve the case is its own fault.
        return Reply(text=out.strip(), stop="length", score=0.0, seconds=seconds)
    stated = _stated(name, last)
    if not stated and not code and _UNREAD.search(last[-_LAST_CHARACTERS:]):
        # The exit code would make a success of a reward of 0 that nobody has read.
        raise RequestRejected(
            f"{name}: a reward is read if it is JSON in the last line, as in {_STATED}; the last "
            f"line is {last.strip().rpartition(chr(10))[2][:_MAX_SHOWN]}"
        )
    if "error" in stated:
        raise RequestRejected(f"{name}: {str(stated['error'])[:_MAX_SHOWN]}")
    if code not in (0, _UNSOLVED):
        last = next(iter(error.strip().splitlines()[::-1]), "")
        raise RequestRejected(
            f"{name} ended with exit code {code}: {last[:_MAX_SHOWN]}".rstrip(": ")
        )
    reward = stated.get("reward", float(code == 0))
    if code == _UNSOLVED and reward > 0:
        raise RequestRejected(
            f"{name} states a reward of {reward:g} and ends with exit code {code}: end it with 0"
        )
    text = str(stated.get("text", out.strip()))
    usage = {key: stated[key] for key in ("input", "output") if key in stated}
    return Reply(
        text=text, score=float(reward), usage=usage, seconds=seconds, run=_run_facts(name, stated)
    )


def _run_facts(name: str, stated: Mapping[str, Any]) -> RunFacts | None:
    """Return what a program states about its run beside the reward; None for nothing.

    Raises:
        RequestRejected: a value is not what it should be.
    """
    facts = {key: stated[key] for key in _FACTS if key in stated}
    if not facts:
        return None
    try:
        return RunFacts.from_plain(facts)
    except ValueError as error:
        raise RequestRejected(
            f"{name}: {str(error)[:_MAX_SHOWN]}; write {_STATED_RUN}, or leave it out"
        ) from error


def _stated(name: str, out: str) -> Mapping[str, Any]:
    """Return the JSON object in the last line of the output, if it states a reward; else {}.

    Raises:
        RequestRejected: what it states is no reward.
    """
    # Other ends of lines, as of U+2028, may stand in JSON.
    last = out.strip().rpartition("\n")[2]
    try:
        value = json.loads(last) if last.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or not value.keys() & {"reward", "error"}:
        return {}
    reward = value.get("reward", 0)
    counts = [value[key] for key in ("input", "output") if key in value]
    is_reward = (
        isinstance(reward, int | float) and not isinstance(reward, bool) and 0 <= reward <= 1
    )
    if not is_reward or not all(type(count) is int and count >= 0 for count in counts):
        raise RequestRejected(
            f"{name}: a reward is 0 to 1, as in {_STATED}, not {last[:_MAX_SHOWN]}"
        )
    return value


open_command = CommandProvider
