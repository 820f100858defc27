"""promptfoo itself: how it reads tests and judges replies, with stubs as models and graders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imports_replies import replies_to

STUB = Path(__file__).with_name("imports_stub.mjs")
#: How the names of files begin that are written beside a configuration, in this process.
NAME = f"ftgate_check_{os.getpid()}"
#: Assertions on what a stub does not show, and those on several replies.
GATES, COMPARISONS = ("latency", "cost"), ("select-best", "max-score")
_SECONDS = 900
_OFF = ("TELEMETRY", "UPDATE", "REMOTE_GENERATION", "SHARING", "REDTEAM_REMOTE_GENERATION")


class Broken(Exception):
    """A tool ends without a result; the text says why."""


class NoJudgement(Broken):
    """promptfoo itself ends without results."""


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Run *command* in *folder*, and return what it prints.

    Raises:
        Broken: it takes too long.
    """
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Broken(f"more than {_SECONDS} seconds: {Path(command[0]).name}") from error
    return ended.stdout.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Promptfoo:
    """The installed tool: *node* runs what npm put into *folder*; results stay in *kept*."""

    node: str
    folder: Path
    scratch: Path
    kept: Path

    def evaluated(
        self, config: Path, document: Mapping[str, Any], replies: Sequence[str], grade: str
    ) -> list[dict[str, Any]]:
        """Return the result of each test of *document*, which stands in the place of *config*."""
        asked = json.dumps(
            [str(config), document, list(replies), grade, STUB.read_text("utf-8")], default=str
        )
        kept = self.kept / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
        if not kept.is_file():
            kept.write_text(json.dumps(self._results(config, document, replies, grade)), "utf-8")
        results: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))
        return results

    def _results(
        self, config: Path, document: Mapping[str, Any], replies: Sequence[str], grade: str
    ) -> Any:
        written, out = config.with_name(f".{NAME}.json"), self.scratch / "out.json"
        out.unlink(missing_ok=True)
        written.write_text(json.dumps(document, default=str), "utf-8")
        (self.scratch / "replies.json").write_text(json.dumps(replies), "utf-8")
        command = [self.node, str(self.folder / "node_modules/promptfoo/dist/src/entrypoint.js")]
        command += ["eval", "-c", written.name, "-o", str(out), "--no-cache", "--no-write"]
        command += ["--no-table", "--no-progress-bar", "-j", "8"]
        try:
            told = run(command, config.parent, self._environ(grade))
        except Broken as error:
            raise NoJudgement(str(error)) from error
        if not out.is_file():
            raise NoJudgement(told[:1500])
        return json.loads(out.read_text("utf-8"))["results"]["results"]

    def _environ(self, grade: str) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **{f"PROMPTFOO_DISABLE_{name}": "1" for name in _OFF},
            "HOME": str(self.scratch),
            "PROMPTFOO_CONFIG_DIR": str(self.scratch / "promptfoo"),
            "PROMPTFOO_PYTHON": sys.executable,
            "FTGATE_REPLIES": str(self.scratch / "replies.json"),
            "FTGATE_GRADE": grade,
        }


def _stub(*, grader: bool) -> dict[str, Any]:
    return {"id": f"file://{STUB}", "label": "stub", "config": {"grader": grader}}


def read_tests(tool: Promptfoo, config: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tests of *document* as promptfoo reads them, with stubs as their graders.

    Each has its variables and all its assertions, those of ``defaultTest`` too.

    Raises:
        NoJudgement: promptfoo cannot read it.
    """
    left_out = ("targets", "sharing", "outputPath", "redteam", "commandLineOptions", "extensions")
    kept = {key: value for key, value in document.items() if key not in left_out}
    tests = kept.get("tests")
    if isinstance(tests, list):
        kept["tests"] = [_with_stubs(test) if isinstance(test, dict) else test for test in tests]
    if isinstance(kept.get("defaultTest"), dict):
        kept["defaultTest"] = _with_stubs(kept["defaultTest"])
    kept |= {"prompts": ["prompt"], "providers": [_stub(grader=False)], "tracing": None}
    results = tool.evaluated(config, kept, [], "pass")
    return [_with_stubs({**one["testCase"], "vars": one["vars"]}) for one in results]


def _with_stubs(test: Mapping[str, Any]) -> dict[str, Any]:
    """Return *test* with a stub as every grader, and without what a stub cannot show."""
    kept = {k: v for k, v in test.items() if k not in ("provider", "providers", "prompts")}
    if test.get("assert"):
        kept["assert"] = [*filter(None, map(_assertion, test["assert"]))]
    return {**kept, "options": {**(test.get("options") or {}), "provider": _stub(grader=True)}}


def _assertion(written: Any) -> Any:
    if not isinstance(written, Mapping):
        return written
    if written.get("type") in (*GATES, *COMPARISONS):
        return None
    kept = {key: value for key, value in written.items() if key != "provider"}
    if isinstance(kept.get("assert"), list):
        kept["assert"] = [*filter(None, map(_assertion, kept["assert"]))]
    return kept


def judged_replies(
    tool: Promptfoo, config: Path, tests: Sequence[Mapping[str, Any]], grade: str
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the place of a test, a reply to it, and promptfoo's result; graders all give *grade*.

    Raises:
        NoJudgement: promptfoo ends without results.
    """
    asked = [(n, one) for n, test in enumerate(tests) for one in replies_to(test, config.parent)]
    numbered = [
        {**tests[n], "metadata": {**(tests[n].get("metadata") or {}), "ftgateReply": number}}
        for number, (n, _) in enumerate(asked)
    ]
    if not asked:  # promptfoo would run a test of its own
        return
    document = {"prompts": ["prompt"], "providers": [_stub(grader=False)], "tests": numbered}
    results = tool.evaluated(config, document, [reply for _, reply in asked], grade)
    numbers = [(one["testCase"].get("metadata") or {}).get("ftgateReply") for one in results]
    found = dict(zip(numbers, results, strict=True))
    for number, (n, reply) in enumerate(asked):
        if number in found:
            yield n, reply, found[number]


def is_error(result: Mapping[str, Any]) -> bool:
    """Return True if promptfoo ended *result* with an error rather than a judgement."""
    return result.get("failureReason") == 2


def reason(result: Mapping[str, Any]) -> str:
    """Return why promptfoo judged as it did."""
    return str(result.get("error") or (result.get("gradingResult") or {}).get("reason"))


def failing_kinds(result: Mapping[str, Any]) -> list[str]:
    """Return the types of the assertions that do not hold, or why there is none."""
    parts = (result.get("gradingResult") or {}).get("componentResults") or ()
    failing = [part.get("assertion") or {} for part in parts if not part.get("pass")]
    return [str(one.get("type", "?")) for one in failing] or [f"error: {reason(result)[:60]}"]
