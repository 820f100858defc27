"""A project whose draft is as good as its prompt, and the ways in which a team evaluates it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from ftgate_testing.faces import Seen
from ftgate_testing.foreign_plugins import TWICE
from pytest_ftgate.cli.main import main

LABELS = ("billing", "refund")
SUITE, MODULE = "tickets.ftgate.yaml", "answers.py"
#: The report files of a run, by the field of *Seen*.
REPORTS = {"record": "run.json", "markdown": "report.md", "page": "report.html"}
#: Reports of an earlier run that passed: none of them may stand when a run has ended.
STALE = {
    "run.json": '{"verdict": "passed"}',
    "report.md": "### 🟢 PASSED: 2 gates\n",
    "report.html": "<title>PASSED: 2 gates</title>",
}
CODE = """\
import os, signal

REPLIES = {replies}

def current(case):
    return REPLIES["current"][case.id]

def draft(case):
    {first}
    return REPLIES["draft"][case.id]
"""
MARKED = """\
import pytest

@pytest.mark.ftgate("{suite}"{limits})
def test_it(case, reply):
    assert reply.text == case.expected
"""
FIXTURE = f"""\
def test_it(ftgate):
    assert ftgate.suite("{SUITE}").verdict("accuracy", "draft").outcome == "passed"
"""
SCRIPT = f"""\
from pathlib import Path

import pytest_ftgate

run = pytest_ftgate.evaluate("{SUITE}", rootdir=".")
print(run)
texts = (run.to_json(), run.to_markdown(), run.to_html())
for name, text in zip({tuple(REPORTS.values())}, texts):
    Path(name).write_text(text, "utf-8")
if not run.passed:
    raise SystemExit(1)
"""
#: How the words of a command are run: here, in a process, or in one whose reader goes away.
Launch = Callable[["Project", Sequence[str]], tuple[int, str]]


@dataclass(slots=True)
class Project:
    """A project with a suite of 60 tickets, whose draft answers rightly until it is broken.

    Attributes:
        way: the way in which it is evaluated.
        suite: what the suite declares.
        cases: by id.
        replies: by variant and case. The function raises an error for a case without one.
        first: a statement that the function of the draft begins with.
        files: further files, by name; they win over those that the project writes.
        options: of pytest.
        launch: how the command is run.
        own_cases: of a variant whose file of answers has other cases.
        served: the address of the server that the project asks, or "".
        stack: what is closed when the test has ended.
    """

    pytester: pytest.Pytester
    way: Way
    suite: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    replies: dict[str, dict[str, str]] = field(default_factory=dict)
    first: str = "pass"
    files: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    launch: Launch = field(default_factory=lambda: launch_here)
    own_cases: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    served: str = ""
    _codes: list[str] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        for number in range(60):
            case = {"input": f"Ticket {number}: help", "expected": LABELS[number % 2]}
            self.cases[f"t{number:02}"] = case
        right = {key: case["expected"] for key, case in self.cases.items()}
        self.replies = {"current": {**right}, "draft": {**right}}
        self.own_cases = {name: {} for name in self.replies}
        variants = {name: self.way.variant(name) for name in self.replies}
        self.suite = {
            "cases": "tickets.cases.jsonl",
            "reply": {"format": {"choice": [*LABELS]}},
            "variants": variants,
            "gates": {"accuracy": {"min": 0.5, "max_drop": 0.15}},
        }

    def path(self, name: str) -> Path:
        return self.pytester.path / name

    @property
    def is_of_files(self) -> bool:
        """Whether two files of answers are compared, without the suite."""
        return self.way.command[0] == "pytest-ftgate"

    @property
    def failing(self) -> list[str]:
        """The cases that the draft answers wrongly, or not at all."""
        said = self.replies["draft"]
        return [key for key, case in self.cases.items() if said.get(key) != case["expected"]]

    def fail(self, count: int = 20) -> None:
        """Let the draft answer the first *count* cases wrongly: more than the limit allows."""
        for number, key in enumerate([*self.cases][:count]):
            self.replies["draft"][key] = LABELS[(number + 1) % 2]

    def write(self) -> None:
        """Write the files of the project."""
        for name, text in self._texts().items():
            self.path(name).write_text(text, "utf-8")

    def _texts(self) -> dict[str, str]:
        rows = [{"id": key, **case} for key, case in self.cases.items()]
        return {
            SUITE: json.dumps(self.suite, indent=1),
            "tickets.cases.jsonl": _lines(rows),
            MODULE: self._code(),
            **{f"{name}.jsonl": _lines(self._answers(name)) for name in self.replies},
            **self.way.files(self),
            **self.files,
        }

    def _code(self) -> str:
        code = CODE.format(replies=self.replies, first=self.first)
        self._codes += [code] if code not in self._codes else []
        # Python takes a module for the same that is as large, and of the same second.
        return code + "#" * self._codes.index(code)

    def _answers(self, variant: str) -> list[dict[str, Any]]:
        """Return the rows of a file of answers, without those that are missing."""
        said = self.replies[variant]
        return [
            {"id": key, **case, **({"text": said[key]} if key in said else {})}
            for key, case in {**self.cases, **self.own_cases[variant]}.items()
        ]

    def accept(self) -> None:
        """Accept a run of the project as it is; what such a run leaves is made once."""
        self.write()
        if self.is_of_files:
            return
        key = (self.way.accepted, *sorted(self._texts().items()))
        if key not in _LEFT:
            run = self.pytester.runpytest_inprocess(*OPTIONS, "--ftgate-accept", self.way.accepted)
            assert run.ret == 0, run.stdout.str()
            _LEFT[key] = {name: self.path(name).read_bytes() for name in self._left()}
        for name, content in _LEFT[key].items():
            self.path(name).parent.mkdir(exist_ok=True)
            self.path(name).write_bytes(content)

    def _left(self) -> list[str]:
        """Return the files that a run leaves: the record, and what it keeps to itself."""
        found = [*self.path(".").glob("*.accepted.json"), *self.path(".").glob(".ftgate/*")]
        return [str(path.relative_to(self.path("."))) for path in found]

    def run(self) -> Seen:
        """Evaluate the project in its way; reports of an earlier run are there."""
        self.write()
        # A script writes its files as it likes.
        for name, text in STALE.items() if self.way.command[0] != "python" else ():
            self.path(name).write_text(text, "utf-8")
        return self.way.run(self)


#: What a run that was accepted left, by what it was made of.
_LEFT: dict[tuple[object, ...], dict[str, bytes]] = {}


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


# How a command is run -----------------------------------------------------------------------------

OPTIONS = ("-W", "error", "-W", TWICE, "--ftgate")


def launch_here(project: Project, words: Sequence[str]) -> tuple[int, str]:
    """Run pytest, the script or the verb in this process; return exit code and output."""
    if words[0] == "pytest":
        result = project.pytester.runpytest_inprocess(*words[1:])
        return int(result.ret), f"{result.stdout.str()}\n{result.stderr.str()}"
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.chdir(project.path(""))
        # A script is no test, whoever has started it.
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        try:
            code = main(words[1:]) if words[0] == "pytest-ftgate" else _run_script(words[1])
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:  # noqa: BLE001 - as Python ends a script
            traceback.print_exc()
            code = 1
    return code, printed.getvalue()


def _run_script(name: str) -> int:
    run_path(name, run_name="__main__")
    return 0


def launch_process(project: Project, words: Sequence[str]) -> tuple[int, str]:
    """Run the command in a process of its own; return exit code and output."""
    done = subprocess.run(
        _command(words), cwd=project.path(""), env=_environ(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, f"{done.stdout}\n{done.stderr}"


def launch_unread(project: Project, words: Sequence[str]) -> tuple[int, str]:
    """Run the command with a reader that goes away before it prints, as ``| head`` may."""
    with subprocess.Popen(
        _command(words),
        cwd=project.path(""),
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        return process.wait(), ""


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def _command(words: Sequence[str]) -> list[str]:
    if words[0] == "pytest-ftgate":
        return [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    return [
        sys.executable,
        *(["-m"] if words[0] == "pytest" else []),
        *words[words[0] == "python" :],
    ]


# The ways -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which a team evaluates a project.

    Attributes:
        command: the words of the command, without the options of a project.
        gate: the name of the gate that is broken, and *test* that of its test.
        accepted: what pytest evaluates to write the accepted record.
        files: returns the files that this way needs.
        variant: returns a variant by its name.
        lacks: the faces that it does not have, each with the reason.
    """

    command: Sequence[str]
    gate: str = "accuracy"
    test: str = ""
    accepted: str = SUITE
    files: Callable[[Project], dict[str, str]] = lambda _: {}
    variant: Callable[[str], dict[str, Any]] = lambda name: {
        "provider": "python",
        "function": f"answers:{name}",
    }
    lacks: Mapping[str, str] = field(default_factory=dict)

    def run(self, project: Project) -> Seen:
        """Evaluate *project*, and return what its faces show."""
        words = [*self.command, *(project.options if self.command[0] == "pytest" else ())]
        words += _compared(project) if project.is_of_files else []
        code, printed = project.launch(project, words)
        texts = {name: _text(project.path(file)) for name, file in REPORTS.items()}
        return Seen(
            gate=self.gate, test=self.test, code=code,
            closing=_closing(printed) if self.command[0] == "pytest" else printed,
            junit=_text(project.path("junit.xml")), printed=printed, **texts,
        )  # fmt: skip


def _compared(project: Project) -> list[str]:
    """Return what a suite declares and a comparison of files is given by options."""
    limit = project.suite["gates"]["accuracy"].get("max_drop")
    score = project.suite["reply"].get("score")
    return [*(["--max-drop", str(limit)] if limit else []), *(["--scorer", score] if score else [])]


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def _closing(printed: str) -> str:
    return printed.rpartition("= ftgate =")[2] if "= ftgate =" in printed else ""


def _pytest(*words: str) -> tuple[str, ...]:
    reports = ("--ftgate-json=run.json", "--ftgate-markdown=report.md", "--ftgate-html=report.html")
    return ("pytest", *OPTIONS, "--junitxml=junit.xml", *reports, *words)


def _marked(project: Project) -> dict[str, str]:
    gate = project.suite["gates"].get("accuracy", {})
    limits = "".join(f", {key}={value!r}" for key, value in gate.items())
    return {"test_marked.py": MARKED.format(suite=SUITE, limits=limits)}


_NO_TEST = "no test of pytest runs"
_NO_GATE = "a test that takes the fixture is no gate, so that reports have no verdict of it"
WAYS: dict[str, Way] = {
    "suite": Way(command=_pytest(SUITE), test="accuracy[draft]"),
    "marked function": Way(
        command=_pytest("test_marked.py"), gate="test_it", test="test_it[draft]",
        accepted="test_marked.py", files=_marked),
    "fixture": Way(
        command=_pytest("test_fixture.py"), test="test_it",
        files=lambda _: {"test_fixture.py": FIXTURE},
        lacks=dict.fromkeys(("closing section", "run record", "Markdown", "page"), _NO_GATE)),
    "evaluate": Way(
        command=("python", "gate.py"), files=lambda _: {"gate.py": SCRIPT},
        lacks={"JUnit": _NO_TEST}),
    "compare": Way(
        command=(
            *("pytest-ftgate", "compare", "current.jsonl", "draft.jsonl", "--reply", "text"),
            *("--json", "run.json", "--markdown", "report.md", "--html", "report.html"),
        ), lacks={"JUnit": _NO_TEST}),
    "recorded": Way(
        command=_pytest("--ftgate-replies=recorded", SUITE), test="accuracy[draft]",
        variant=lambda name: {"provider": "recorded", "replies": f"{name}.jsonl"}),
    "xdist": Way(command=_pytest("-n", "2", SUITE), test="accuracy[draft]"),
}  # fmt: skip
