"""The steps of the GitHub Action. Each reads its inputs from environment variables.

The module uses only the standard library, since the first step runs before any installation.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: The pattern of each input, and its description in an error message.
ALLOWED = {
    "comment": (r"true|false", "true or false"),
    "html": (r"true|false", "true or false"),
    "replies": (r"auto|fresh|recorded", "auto, fresh or recorded"),
    "fork_replies": (r"auto|fresh|recorded", "auto, fresh or recorded"),
    "fork_safe": (r"true|false", "true or false"),
    "inconclusive": (r"fail|warn", "fail or warn"),
    "max_usd": (r"(\d+(\.\d+)?)?", "a number such as 2.5, or nothing"),
    "extras": (r"([a-z]+(,[a-z]+)*)?", "names such as local,prices, or nothing"),
    "page_url": (r"(https?://[^\s()<>#]+)?", "an address such as https://example.org/report.html"),
    "title": (r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", "letters, digits, dots and dashes, at most 40"),
}
#: Events whose jobs run what the repository itself holds, or have no secrets where they do not.
#: Strangers cause others, such as pull_request_target and issues, in whose jobs the secrets are.
ALLOWED_EVENTS = (
    *("push", "pull_request", "merge_group", "schedule", "release"),
    *("workflow_dispatch", "repository_dispatch"),
)
FROM_A_FORK = (
    "This pull request comes from a fork, where there are no keys: only recorded replies were "
    "evaluated, and nothing was asked."
)
#: Where the report links to the page; see reporting/markdown.py.
PAGE_MARK = re.compile(r"<!-- page:(#[\w%&=.~-]+)? -->")
NO_REPORT = "### 🔴 BLOCKED: pytest ended before it wrote a report; see the log of the job\n"


def check(environ: Mapping[str, str]) -> int:
    """Report every invalid input, and decide where replies come from."""
    errors = [*_input_errors(environ)]
    for error in errors:
        print(f"::error title=pytest-ftgate::{error}")
    if errors:
        return 1
    # Of a fork that has been deleted, GitHub no longer names the repository.
    is_pull = environ.get("GITHUB_EVENT_NAME") == "pull_request"
    fork = is_pull and environ.get("HEAD_REPOSITORY") != environ["GITHUB_REPOSITORY"]
    extras = {*filter(None, environ["IN_EXTRAS"].split(","))}
    _tell(
        "GITHUB_OUTPUT",
        environ,
        fork=str(fork).lower(),
        safe=environ["IN_FORK_SAFE"] if fork else "false",
        replies=environ["IN_FORK_REPLIES" if fork else "IN_REPLIES"],
        extras=",".join(sorted(extras)),
    )
    return 0


def _input_errors(environ: Mapping[str, str]) -> Iterator[str]:
    for name, (pattern, words) in ALLOWED.items():
        value = environ[f"IN_{name.upper()}"]
        if not re.fullmatch(pattern, value):
            yield f"input {name.replace('_', '-')} is {_escaped(repr(value))}; write {words}"
    event = environ.get("GITHUB_EVENT_NAME", "")
    if event not in ALLOWED_EVENTS:
        yield (
            f"{_escaped(event) or 'no event'} may run a stranger's files beside the repository's "
            f"secrets; use {', '.join(ALLOWED_EVENTS[:-1])} or {ALLOWED_EVENTS[-1]}"
        )


def judge(environ: Mapping[str, str]) -> int:
    """Run pytest, and pass its result on to the following steps."""
    folder = Path(environ["RUNNER_TEMP"]) / "ftgate"
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    record = reports / "run.json"
    # Of an earlier call of the action in the same job.
    for path in reports.iterdir():
        path.unlink()
    # For the processes that pytest starts as well, such as those of pytest-xdist.
    safe = {"PYTHONSAFEPATH": "1"} if environ["SAFE"] == "true" else {}
    status = subprocess.run(
        command(environ, folder), env={**environ, **safe}, check=False
    ).returncode
    told = json.loads(record.read_text("utf-8")) if record.exists() else {}
    outcomes = [one["outcome"] for one in told.get("verdicts", ()) if one["gated"]]
    if environ.get("FORK") == "true" and environ["REPLIES"] == "recorded":
        _say_what_a_fork_misses(environ, told, reports / "report.md")
    if status == 0 and not outcomes and not told.get("requests", {}).get("replies"):
        print("::error title=pytest-ftgate::no gate was evaluated; check the input paths")
        status = 5
    _tell(
        "GITHUB_OUTPUT",
        environ,
        status=status if status >= 0 else 1,
        verdict=told["verdict"] if outcomes else "error",
        failed=sum(map(outcomes.count, ("failed", "invalid"))) + len(told.get("failed_tests", ())),
        inconclusive=outcomes.count("inconclusive"),
        not_evaluated=len(told.get("not_evaluated", ())),
        json=record if told else "",
        markdown=reports / "report.md" if told else "",
    )
    return 0


def command(environ: Mapping[str, str], folder: Path) -> list[str]:
    """Return the command that evaluates the gates."""
    reports = folder / "reports"
    # Without -P, modules would come from the folder where pytest is started: the pull request.
    words = [sys.executable, "-P", "-m", "pytest", "--ftgate"]
    words += [f"--ftgate-cache={folder / 'cache' / 'cache.sqlite'}"]
    words += [f"--ftgate-json={reports / 'run.json'}", f"--junitxml={reports / 'junit.xml'}"]
    words += [f"--ftgate-markdown={reports / 'report.md'}"]
    words += [f"--ftgate-html={reports / 'report.html'}"] if environ["IN_HTML"] == "true" else []
    words += ["--ftgate-safe"] if environ["SAFE"] == "true" else []
    words += [f"--ftgate-replies={environ['REPLIES']}"]
    words += [f"--ftgate-inconclusive={environ['IN_INCONCLUSIVE']}"]
    words += [f"--ftgate-max-usd={environ['IN_MAX_USD']}"] if environ["IN_MAX_USD"] else []
    words += [f"--ftgate-variant={name}" for name in environ["IN_VARIANTS"].split()]
    lines = map(str.strip, environ["IN_SET"].splitlines())
    words += [f"--ftgate-set={line}" for line in lines if line]
    return [*words, "--", *environ["IN_PATHS"].split()]


def _say_what_a_fork_misses(
    environ: Mapping[str, str], told: Mapping[str, Any], report: Path
) -> None:
    missed = len(told.get("not_evaluated", ()))
    more = f" {missed} could not be evaluated; the report says why." if missed else ""
    sentence = f"\n{FROM_A_FORK}{more}\n"
    print(f"::notice title=pytest-ftgate::{sentence.strip()}")
    for path in (report, Path(environ["GITHUB_STEP_SUMMARY"])):
        with path.open("a", encoding="utf-8") as stream:
            stream.write(sentence)


def comment(environ: Mapping[str, str]) -> int:
    """Write the verdicts into the existing comment, or into a new one.

    A comment that cannot be written is a warning: the check is the job's status.
    """
    report = Path(environ["RUNNER_TEMP"]) / "ftgate" / "reports" / "report.md"
    marker = f"<!-- pytest-ftgate: {environ['IN_TITLE']} -->"
    # Without a report, the comment of an earlier run would stand as if it were of this one.
    text = report.read_text("utf-8") if report.exists() else NO_REPORT
    body = f"{with_links(text, environ['IN_PAGE_URL'], environ['ARTIFACT_URL'])}\n{marker}"
    try:
        _put(_Comments(environ), marker, body)
    except (OSError, ValueError) as error:
        remedy = "the job needs permissions: pull-requests: write"
        told = _escaped(f"no comment could be written ({error}); {remedy}")
        print(f"::warning title=pytest-ftgate::{told}")
    return 0


def with_links(text: str, page: str, artifact: str) -> str:
    """Return a report with links to the page, and to the cases of each gate in it.

    *page* is where the workflow publishes the page. The address of the *artifact* downloads it, so
    that no part of the page can be named.
    """
    whole, *_ = [f" · [the page with every case]({url})" for url in (page, artifact) if url] + [""]

    def link(mark: re.Match[str]) -> str:
        if not mark[1]:
            return whole
        return f" · [its cases]({page}{mark[1]})" if page else ""

    return PAGE_MARK.sub(link, text)


def _put(comments: _Comments, marker: str, body: str) -> None:
    mine = comments.marked(marker)
    if mine:
        comments.edit(mine[0], body)
    else:
        comments.add(body)
        mine = comments.marked(marker)
    # Two runs at once may each have added a comment: the older one stays.
    for extra in mine[1:]:
        comments.remove(extra)


class _Comments:
    """The comments of one pull request."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        repository, number = environ["GITHUB_REPOSITORY"], int(environ["PULL_REQUEST"])
        self._root = f"{environ['GITHUB_API_URL']}/repos/{repository}/issues"
        self._number, self._token = number, environ["TOKEN"]

    def marked(self, marker: str) -> list[int]:
        """Return the comments of bots that end with *marker*, the oldest first."""
        found: list[int] = []
        for page in range(1, 101):
            query = f"per_page=100&page={page}"
            told = self._ask("GET", f"{self._number}/comments?{query}")
            # A person may write the marker as well; comments by people are never edited.
            found += [
                one["id"]
                for one in told
                if one["user"]["type"] == "Bot" and (one["body"] or "").rstrip().endswith(marker)
            ]
            if len(told) < 100:
                break
        return sorted(found)

    def add(self, body: str) -> None:
        self._ask("POST", f"{self._number}/comments", {"body": body})

    def edit(self, comment: int, body: str) -> None:
        self._ask("PATCH", f"comments/{comment}", {"body": body})

    def remove(self, comment: int) -> None:
        self._ask("DELETE", f"comments/{comment}")

    def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._root}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None


def _tell(file: str, environ: Mapping[str, str], **values: object) -> None:
    with Path(environ[file]).open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in values.items())


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


STEPS: Mapping[str, Callable[[Mapping[str, str]], int]] = {
    "check": check,
    "judge": judge,
    "comment": comment,
}

if __name__ == "__main__":
    sys.exit(STEPS[sys.argv[1]](os.environ))
