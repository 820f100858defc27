"""What docs/providers.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from ftgate_testing.foreign_plugins import load_installed

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
SUITE = "tickets.ftgate.yaml"


def blocks() -> dict[str, str]:
    """Return the code blocks of the page by the file name in their first lines."""
    return dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))


class _House(BaseHTTPRequestHandler):
    """A gateway with right answers, like the model of the page's suite."""

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(sent)
        body = json.dumps({"text": "refund"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments) -> None:
        """Be silent."""


@pytest.fixture
def gateway(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _House)
    server.requests = []
    monkeypatch.setenv("HOUSE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def written(pytester):
    """Write the suite of the page, and what it names, into a folder."""
    found = blocks()
    cases = [{"input": f"Refund order {n}", "expected": "refund"} for n in range(40)]
    found["tickets.cases.jsonl"] = "".join(f"{json.dumps(case)}\n" for case in cases)
    found["tickets.md"] = "Answer with one label.\n"
    for name, text in found.items():
        (pytester.path / name).write_text(text, "utf-8")
    # The page's pyproject.toml belongs to another package.
    (pytester.path / "pyproject.toml").unlink()
    return pytester


def test_the_conftest_and_the_suite_of_the_page_work_together(written, gateway):
    result = written.runpytest_inprocess("--ftgate")

    result.assert_outcomes(passed=1)
    system, user = gateway.requests[0]["messages"]
    assert system == ["system", "Answer with one label."]
    assert user[1].startswith("Refund order ")
    assert {(request["model"], request["region"]) for request in gateway.requests} == {
        ("small", "north"),
        ("large", "north"),
    }


def test_the_code_of_the_page_is_a_plugin_of_pytest_as_the_page_says(written, gateway, monkeypatch):
    code, project = blocks()["conftest.py"], tomllib.loads(blocks()["pyproject.toml"])
    ((name, module),) = project["project"]["entry-points"]["pytest11"].items()
    (written.path / "conftest.py").unlink()
    facts = written.path / f"{name}-1.0.dist-info"
    facts.mkdir()
    (written.path / f"{module}.py").write_text(code, "utf-8")
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    monkeypatch.syspath_prepend(written.path)
    monkeypatch.setenv("PYTHONPATH", str(written.path), prepend=":")
    load_installed(monkeypatch)

    written.runpytest_inprocess("--ftgate").assert_outcomes(passed=1)


def test_the_provider_of_the_page_is_short(written):
    assert len(blocks()["conftest.py"].splitlines()) < 15
