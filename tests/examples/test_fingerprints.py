"""The fingerprints of the package's own suites: replies that are cached or committed stay found.

``tests/recorded/fingerprints.json`` has for each suite the number of its requests and a digest of
their fingerprints, by model, adapter and prompt. After a change that is meant to make other
requests, or that edits the suites, record them again:

    FTGATE_RECORD=1 .venv/bin/pytest -n 0 tests/examples/test_fingerprints.py && git diff

Small suites with single requests, among them levels and divergence, are in
``tests/journeys/test_order_of_sending.py``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

import pytest
from ftgate_testing.foreign_plugins import TWICE
from ftgate_testing.tables import heavy

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "recorded" / "fingerprints.json"
RECORD = "FTGATE_RECORD"
DEMO = "pytest_ftgate/demo"
TICKETS = "examples/tickets/tickets.ftgate.yaml"
SKILLS = "benchmarks/skills.ftgate.yaml"
#: Suites whose plan knows requests under their own provider; the weights are part of these.
PLANNED = (
    *(TICKETS, f"{DEMO}/tickets.ftgate.yaml", SKILLS, "benchmarks/sampled.ftgate.yaml"),
    "examples/agents/agent.ftgate.yaml",
)
#: Suites that send more than a plan knows: for judges, for later looks, to variants without gates.
SENT = (
    *(TICKETS, SKILLS),
    "examples/ladder/ladder.ftgate.yaml",
    "examples/judge/questions.ftgate.yaml",
)
#: The weights of the embedded model are in the cache below it, which pytester hides.
HOME = os.environ["HOME"]
#: Notes each request that is planned, or sent to the provider *house*, and who it is for.
CONFTEST = """\
import json
from pathlib import Path
from pytest_ftgate import Provider, Reply

NOTED = Path(__file__).with_name("noted.jsonl")

def name_of(request):
    adapter = request.adapter and request.adapter.path.name
    under = request.messages and request.messages[0][0] == "system" and "under a prompt"
    names = (request.provider, Path(request.model).name, adapter, under)
    return " ".join(filter(None, names))

def note(requests):
    rows = [json.dumps([one.fingerprint, name_of(one)]) + chr(10) for one in requests]
    with NOTED.open("a", encoding="utf-8") as stream:
        stream.write("".join(rows))

def pytest_ftgate_plan_modifyitems(items, config):
    note(items)

class House(Provider):
    concurrency = 64

    async def generate(self, request):
        note([request])
        return Reply(text=f"{name_of(request)} has heard {len(request.messages[-1][1])} letters")

def pytest_ftgate_providers():
    return {"house": House}
"""


class Folder:
    """A copy of the folders with the suites, and what running one of them notes."""

    def __init__(self, pytester: pytest.Pytester, suite: str) -> None:
        self.pytester, self.path, self.suite = pytester, pytester.path, suite
        for folder in ("examples", DEMO):
            shutil.copytree(ROOT / folder, self.path / folder)
        (self.path / "benchmarks").mkdir()
        for file in (ROOT / "benchmarks").glob("*.ftgate.yaml"):
            shutil.copy(file, self.path / "benchmarks")
        (self.path / "conftest.py").write_text(CONFTEST, "utf-8")

    def noted(self, *args: str) -> dict[str, str]:
        """Run the suite, and return for whom each request is, by its fingerprint."""
        self.pytester.runpytest_inprocess(
            *("-W", TWICE, "--ftgate", "-p", "no:cacheprovider", self.suite, *args)
        )
        path = self.path / "noted.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return dict(json.loads(line) for line in lines)

    def commit_replies(self, noted: dict[str, str]) -> None:
        """Commit a reply to each request: those of a variant are like no other's."""
        header = {"about": "replies kept by pytest-ftgate", "format": 1, "suite": self.suite}
        rows: list[dict[str, object]] = [header | {"replies": len(noted)}]
        for fingerprint, name in noted.items():
            reply = {"text": f"{name} has answered", "stop": "end", "seconds": 0.1}
            origin = {"run": "0" * 32, "at": 1.0, "provider": "llamacpp", "model": name}
            rows.append({"fingerprint": fingerprint, **origin, "reply": reply})
        path = self.path / self.suite.replace(".ftgate.yaml", ".replies.jsonl")
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def _as_declared(folder: Folder) -> dict[str, str]:
    """Return the requests that are planned where nothing is sent, with the replies to hand."""
    noted = folder.noted("--ftgate-replies=recorded")
    # Replies of a tuned model to its identity probes bring what waits for them.
    for _ in range(4):
        before = len(noted)
        folder.commit_replies(noted)
        noted = folder.noted("--ftgate-replies=recorded")
        if len(noted) == before:
            return noted
    raise AssertionError("each reply brings further requests")


def _as_sent(folder: Folder) -> dict[str, str]:
    """Return all requests, of every look and of judges, to a provider that stands for the model."""
    path = folder.path / folder.suite
    text = path.read_text("utf-8").replace("llamacpp", "house").replace("smollm2-135m", "m")
    path.write_text(text, "utf-8")
    # A classifier learns from a tenth of the rows in a second.
    taught = folder.path / TICKETS.replace(".ftgate.yaml", ".train.jsonl")
    taught.write_text("".join(taught.read_text("utf-8").splitlines(keepends=True)[::10]), "utf-8")
    return folder.noted("--ftgate-accept", "--ftgate-accept-failed")


def _groups(noted: dict[str, str]) -> dict[str, str]:
    """Return the number of requests and a digest of their fingerprints, by who they are for."""
    groups = defaultdict(list)
    for fingerprint, name in noted.items():
        groups[name].append(fingerprint)
    return {
        name: f"{len(found)} requests {sha256(''.join(sorted(found)).encode()).hexdigest()[:16]}"
        for name, found in sorted(groups.items())
    }


def _recorded(key: str, found: dict[str, str]) -> dict[str, str]:
    """Return what is recorded under *key*, after recording what is found if that is wanted."""
    recorded = json.loads(RECORDED.read_text("utf-8")) if RECORDED.exists() else {}
    if os.environ.get(RECORD):
        recorded[key] = found
        RECORDED.write_text(json.dumps(dict(sorted(recorded.items())), indent=1) + "\n", "utf-8")
    return recorded[key]


@pytest.fixture
def open_folder(pytester, monkeypatch):
    monkeypatch.setenv("HOME", HOME)
    return lambda suite: Folder(pytester, suite)


@pytest.mark.parametrize("suite", [heavy(one) if DEMO in one else one for one in PLANNED])
def test_what_is_planned_keeps_its_fingerprints(open_folder, suite):
    found = _groups(_as_declared(open_folder(suite)))

    assert found
    assert found == _recorded(f"{suite} as declared", found)


@pytest.mark.parametrize("suite", [heavy(one) if one == TICKETS else one for one in SENT])
def test_what_is_sent_keeps_its_fingerprints(open_folder, suite):
    found = _groups(_as_sent(open_folder(suite)))

    assert found == _recorded(f"{suite} as sent", found)


def test_every_suite_of_the_package_is_held():
    files = [
        path
        for folder in ("examples", DEMO, "benchmarks")
        for path in ROOT.glob(f"{folder}/**/*.ftgate.yaml")
    ]

    assert {str(path.relative_to(ROOT)) for path in files} == {*PLANNED, *SENT}
