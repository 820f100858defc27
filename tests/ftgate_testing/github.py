"""GitHub as far as an action sees it: its API for comments on loopback, and what runs its steps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from ftgate_testing.loopback import Handler, loopback

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"


@dataclass
class Comments:
    """The comments of pull request 7, and what was asked of them."""

    url: str = ""
    kept: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    forbids: bool = False

    def add(self, body: str, kind: str = "Bot") -> None:
        number = 1000 + len(self.asked) + len(self.kept)
        self.kept.append({"id": number, "body": body, "user": {"login": kind, "type": kind}})


@contextmanager
def comments_api() -> Iterator[Comments]:
    told = Comments()

    class Github(Handler):
        protocol_version = "HTTP/1.0"

        def answer(self) -> None:
            url = urlsplit(self.path)
            sent = self.sent()
            told.asked.append(self.command)
            told.tokens.add(self.headers["authorization"])
            status, body = (403, {}) if told.forbids else self.done(url.path, url.query, sent)
            self.give(status, b"" if body is None else json.dumps(body).encode())

        def done(self, path: str, query: str, sent: bytes) -> tuple[int, Any]:
            if path == "/repos/shop/desk/issues/7/comments":
                if self.command == "GET":
                    page = int(parse_qs(query)["page"][0])
                    return 200, told.kept[100 * (page - 1) : 100 * page]
                body = json.loads(sent)["body"]
                if len(body) > 65_536:
                    return 422, {"message": "Body is too long"}
                told.add(body)
                return 201, told.kept[-1]
            number = int(path.rpartition("/issues/comments/")[2])
            (one,) = [one for one in told.kept if one["id"] == number]
            if self.command == "DELETE":
                told.kept.remove(one)
                return 204, None
            one["body"] = json.loads(sent)["body"]
            return 200, one

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the library

    with loopback(Github) as told.url:
        yield told


@dataclass
class Ended:
    """How a run of the action ended: each step's status, and what the steps left."""

    status: int
    steps: dict[str, int]
    outputs: Mapping[str, str]
    log: str
    summary: str


@dataclass
class Runner:
    """Runs the ``run`` steps of the action as GitHub does; steps that use other actions are not.

    Attributes:
        folder: the checked out repository.
        api: where comments are.
        head: the repository that the pull request comes from.
    """

    folder: Path
    api: str
    head: str = "shop/desk"
    event: str = "pull_request"
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, **inputs: str) -> Ended:
        """Run the steps with *inputs*, whose dashes are written as underscores."""
        action = yaml.safe_load(ACTION.read_text("utf-8"))
        known = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
        # Drawing takes a second or two, and is wanted by few tests.
        given = {"html": "false", **inputs}
        known |= {name.replace("_", "-"): value for name, value in given.items()}
        known["token"] = "token-of-the-job"
        values = {f"inputs.{name}": value for name, value in known.items()} | self._context()
        steps, log, failed = {}, "", False
        self._files()
        for step in action["runs"]["steps"]:
            if "run" not in step:
                continue
            if not _holds(step.get("if", "success()"), values, failed=failed):
                values |= {f"steps.{step.get('id')}.outcome": "skipped"}
                continue
            done = self._step(step, values)
            steps[step["name"]], log = done.returncode, log + done.stdout
            failed = failed or done.returncode != 0
            outcome = "failure" if done.returncode else "success"
            values |= {f"steps.{step.get('id')}.outcome": outcome, **self._outputs(step.get("id"))}
        outputs = {k: _put_in(one["value"], values) for k, one in action["outputs"].items()}
        summary = (self._temp / "summary.md").read_text("utf-8")
        return Ended(done.returncode if "End" in step["name"] else 1, steps, outputs, log, summary)

    @property
    def _temp(self) -> Path:
        return self.folder.parent / "runner-temp"

    def _context(self) -> dict[str, str]:
        pull = self.event.startswith("pull_request")
        return {
            "github.event.pull_request.head.repo.full_name": self.head if pull else "",
            "github.event.pull_request.number": "7" if pull else "",
            "github.repository": "shop/desk",
            "github.event_name": self.event,
            "github.run_id": "1",
            "github.run_attempt": "1",
            "runner.temp": str(self._temp),
        }

    def _files(self) -> None:
        self._temp.mkdir(exist_ok=True)
        for name in ("summary.md", "output"):
            (self._temp / name).write_text("", "utf-8")

    def _outputs(self, step: str | None) -> dict[str, str]:
        path = self._temp / "output"
        lines = path.read_text("utf-8").splitlines()
        path.write_text("", "utf-8")
        told = (line.partition("=") for line in lines)
        return {f"steps.{step}.outputs.{name}": value for name, _, value in told}

    def _step(self, step: Mapping[str, Any], values: Mapping[str, str]) -> Any:
        env = {name: _put_in(value, values) for name, value in step.get("env", {}).items()}
        where = self.folder / _put_in(step.get("working-directory", "."), values)
        return subprocess.run(
            # As GitHub starts it.
            [shutil.which("bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=where, env=self._environ() | env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def _environ(self) -> dict[str, str]:
        python = Path(sys.executable).parent
        kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")}
        return kept | {
            "PATH": f"{python}:{os.environ['PATH']}",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": self.api,
            "GITHUB_EVENT_NAME": self.event,
            "GITHUB_OUTPUT": str(self._temp / "output"),
            "GITHUB_REPOSITORY": "shop/desk",
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_STEP_SUMMARY": str(self._temp / "summary.md"),
            "GITHUB_WORKSPACE": str(self.folder),
            "PIP_DRY_RUN": "1",
            "RUNNER_TEMP": str(self._temp),
            **self.environ,
        }


_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[a-z]+(?:\.[a-zA-Z_-]+)+")


def _put_in(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with its expressions, plain names all of them, replaced by their values."""
    return _EXPRESSION.sub(lambda found: values.get(found[1].strip(), ""), str(text))


def _holds(condition: str, values: Mapping[str, str], *, failed: bool) -> bool:
    """Tell whether a step runs: of GitHub's language as much as the action speaks."""
    inner = _EXPRESSION.sub(lambda found: found[1], condition).strip()
    plain = not any(word in inner for word in ("always()", "cancelled()"))
    told = _NAME.sub(lambda found: repr(values.get(found[0], "")), inner)
    for theirs, ours in (("&&", " and "), ("||", " or "), ("!=", "<>"), ("!", " not ")):
        told = told.replace(theirs, ours)
    told = told.replace("<>", "!=").replace("always()", "True").replace("success()", "True")
    value = eval(told.replace("cancelled()", "False").strip())
    return bool(value) and not (failed and plain)
