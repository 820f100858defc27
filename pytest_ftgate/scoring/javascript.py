"""The score and the format ``javascript``: functions of a suite, run by one process of Node.js."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from threading import RLock, Thread
from typing import Any
from weakref import finalize

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.processes import kill_group
from pytest_ftgate.readers.text import replace_in_json
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import ContentScore, FormatError
from pytest_ftgate.suite.javascript import LEAST_NODE, NEEDS_NODE, node_path, source_name
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule
from pytest_ftgate.suite.scorers import JAVASCRIPT_SECONDS

_CHILD = Path(__file__).with_name("javascript_child.cjs")
#: What a process inherits of the environment: where programs and libraries are, and no key.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
#: The longest line that is read; an answer is shorter.
_MAX_LINE = 1 << 16
#: Seconds within which Node.js must have started.
_START_SECONDS = 30.0
#: Why a reply ended, in the words of promptfoo.
_FINISH_REASONS = {"end": "stop", "refusal": "content_filter", "tool": "tool_calls"}


def score_by_javascript(rule: Rule, case: Case, reply: Reply, folder: Path) -> ContentScore:
    """Return the score that the function of *rule* gives: 0 to 1.

    With ``threshold`` or ``inverse`` it is 1 for a reply that passes, else 0. An object scores
    0 if its ``pass`` is false.

    Raises:
        ScorerError: the function failed, took too long, or returned something that is no score.
    """
    result = _run(rule, case, reply, folder)
    if "threw" in result or not rule.is_graded:
        value = float(_passes(rule, result))
    else:
        value = _grade(rule, result)
    return ContentScore(value, "" if value == 1 else _reason(rule, result))


def javascript_error(rule: Rule, case: Case, reply: Reply, folder: Path) -> FormatError | None:
    """Return how *reply* breaks the format *rule*, or None: it passes.

    Raises:
        ScorerError: as for `score_by_javascript`.
    """
    result = _run(rule, case, reply, folder)
    return None if _passes(rule, result) else FormatError(JAVASCRIPT, _reason(rule, result))


def require_javascript(rule: Rule, folder: Path) -> None:
    """Raise an error if the function of *rule* cannot be loaded. Runs a file, but no code.

    Raises:
        ConfigurationError: there is no such function, or no Node.js that could run it.
    """
    try:
        _ask(rule, folder, {})
    except ScorerError as error:
        raise ConfigurationError(f"{JAVASCRIPT}: {error}") from error


def _run(rule: Rule, case: Case, reply: Reply, folder: Path) -> Mapping[str, Any]:
    """Return what the function returned, as ``pass``, ``score`` and ``reason``, or what it threw.

    A reply in which ``throws: wrong`` sees the cause has ``threw``, without a result too.
    """
    context = _context(rule, case, reply)
    output = context["providerResponse"]["output"]
    result = _ask(rule, folder, {"output": output, "context": context})
    if "returned" in result:
        wanted = "return true, false, a number, or {pass, score, reason}"
        problem = f"returned {result['returned']}; {wanted}"
        # A function that is not called says nothing about any reply.
        is_of_code = result["returned"].startswith(("[Function", "[AsyncFunction"))
        if is_of_code or rule.options.get("throws") != "wrong":
            raise ScorerError(f"{source_name(rule)}: {problem}")
        return {"threw": problem}
    return result


def _context(rule: Rule, case: Case, reply: Reply) -> dict[str, Any]:
    """Return what promptfoo hands a function beside the reply, as far as it is known here."""
    values = {"input": case.input_text, "expected": case.expected, **case.vars}
    calls = [
        {"type": "function", "function": {"name": c.name, "arguments": c.arguments_text}}
        for c in reply.tool_calls
    ]
    output = calls if calls and not reply.text.strip() else reply.text
    finish = _FINISH_REASONS.get(reply.stop, reply.stop)
    return {
        "prompt": case.input_text,
        "vars": values,
        "test": {"description": case.id, "vars": values},
        "config": rule.options.get("config", {}),
        "providerResponse": {"output": output, "finishReason": finish},
    }


def _passes(rule: Rule, result: Mapping[str, Any]) -> bool:
    if "threw" in result:
        return False
    holds = bool(result["pass"]) if "pass" in result else _reaches(rule, float(result["score"]))
    return holds is not bool(rule.options.get("inverse"))


def _reaches(rule: Rule, score: float) -> bool:
    least = rule.options.get("threshold")
    return score > 0 if least is None else score >= least


def _grade(rule: Rule, result: Mapping[str, Any]) -> float:
    """Return the grade of a result without ``threshold``."""
    if not result.get("pass", True):
        return 0.0
    score = float(result.get("score", 1))
    if not 0 <= score <= 1:
        remedy = "a score is 0 to 1; write threshold: N, and a reply is right from there on"
        raise ScorerError(f"{source_name(rule)}: returned {score:g}, but {remedy}")
    if score == 0 and "pass" in result:
        remedy = "leave score out, or write threshold, and pass alone counts"
        raise ScorerError(f"{source_name(rule)}: returned pass: true with score: 0; {remedy}")
    return score


def _reason(rule: Rule, result: Mapping[str, Any]) -> str:
    """Return why a reply is not right, in the words of the function if it has any."""
    if reason := result.get("reason") or result.get("threw"):
        return str(reason)
    value = result["score"] if "score" in result else str(result["pass"]).lower()
    return f"{source_name(rule)}: {value}"


# The process -------------------------------------------------------------------------------------


def _ask(rule: Rule, folder: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer to *request* about the function of *rule*, with *folder* to work in.

    Raises:
        ScorerError: the function failed or took too long, or there is no Node.js.
    """
    of_file = {"file": str(rule.path), "name": rule.options.get("function")}
    named = {"code": rule.value} if rule.path is None else {k: v for k, v in of_file.items() if v}
    seconds = float(rule.options.get("seconds", JAVASCRIPT_SECONDS))
    result = _answer({**named, "folder": str(folder.absolute()), **request}, seconds)
    is_of_code = result.get("isOfCode") or rule.options.get("throws") != "wrong"
    if "problem" in result or ("threw" in result and is_of_code):
        problem = result.get("problem") or result["threw"]
        is_open = not result.get("isOfCode", True)
        remedy = "; where that means a wrong reply, write throws: wrong" * is_open
        raise ScorerError(f"{source_name(rule)}: {problem}{remedy}")
    return result


#: The process that runs JavaScript, in a list that is empty until it is needed.
_running = list["_Process"]()
_lock = RLock()


def _answer(request: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """Return the answer to *request*, or ``problem``: why there is none after *seconds*."""
    with _lock:
        if not _running or _running[0].owner != os.getpid():
            _running[:] = [_start()]
        answer: Mapping[str, Any] = {"problem": ""}
        try:
            answer = _running[0].ask(request, seconds)
        finally:
            # The function may be running still.
            if "problem" in answer:
                end_javascript()
        return answer


def end_javascript() -> None:
    """End the process that runs JavaScript; the next function starts it anew."""
    with _lock:
        while _running:
            _running.pop().end()


def _start() -> _Process:
    """Return a new process that has answered.

    Raises:
        ScorerError: there is no Node.js, or one that is too old.
    """
    program = node_path()
    if program is None:
        raise ScorerError(NEEDS_NODE)
    process = _Process(program)
    try:
        version = str(process.ask({}, _START_SECONDS).get("version", ""))
    except BaseException:
        process.end()
        raise
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < LEAST_NODE:
        process.end()
        found = f"{program} is {version}" if version else f"{program} ended at its start"
        raise ScorerError(f"{found}; {NEEDS_NODE}")
    return process


class _Process:
    """One process of Node.js, and a thread that writes its requests and reads its answers.

    Attributes:
        owner: the id of the process that started it, which alone may use it.
    """

    def __init__(self, program: str) -> None:
        self.owner, self._token = os.getpid(), token_hex(16).encode()
        self._process = subprocess.Popen(  # noqa: S603 - the program is our own file
            [program, str(_CHILD), self._token.decode()],
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._requests, self._answers = SimpleQueue[bytes | None](), SimpleQueue[Any]()
        self.end = finalize(self, _end, self._process, self._requests, self.owner)
        streams = (self._process, self._token, self._requests, self._answers)
        Thread(target=_converse, args=streams, name="ftgate-javascript", daemon=True).start()

    def ask(self, request: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        """Return the answer to *request*, or ``problem``: why there is none after *seconds*."""
        self._requests.put(json.dumps(request, default=str).encode() + b"\n")
        try:
            answer: Mapping[str, Any] | None = self._answers.get(timeout=seconds)
        except Empty:
            return {"problem": f"took longer than {seconds:g} s"}
        if answer is not None:
            return answer
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return {"problem": f"ended Node.js, with exit code {self._process.returncode}"}


def _converse(
    process: subprocess.Popen[bytes],
    token: bytes,
    requests: SimpleQueue[bytes | None],
    answers: SimpleQueue[Any],
) -> None:
    """Write each request, and put its answer into *answers*; None once the process has ended."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return
    with suppress(OSError, ValueError), stdin, stdout:
        while request := requests.get():
            stdin.write(request)
            stdin.flush()
            while not (line := stdout.readline(_MAX_LINE)).startswith(token):
                if not line:
                    raise BrokenPipeError
            answers.put(replace_in_json(json.loads(line.removeprefix(token))))
    answers.put(None)


def _end(process: subprocess.Popen[bytes], requests: SimpleQueue[bytes | None], owner: int) -> None:
    # A process that was forked from the owner has the pipes too.
    if owner == os.getpid():
        requests.put(None)
        kill_group(process)
