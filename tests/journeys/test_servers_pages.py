"""What docs/ci.md tells servers to run, run here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")
GITLAB = PAGE.partition("## GitLab\n")[2].partition("## Jenkins\n")[0]


def job() -> dict:
    """Return the job of GitLab, with what is to be added to it."""
    first, more = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", GITLAB, re.DOTALL))
    return first["gates"] | more


def on_gitlab() -> str:
    return next(line for line in job()["script"] if line.startswith("pytest"))


def on_jenkins() -> str:
    (script,) = re.findall(r"^sh '(.*?)'$", PAGE, re.MULTILINE)
    return script


def files_of_gitlab() -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", GITLAB, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (on_gitlab, files_of_gitlab()),
        (on_jenkins, ["junit.xml", "ftgate/report.html", "ftgate/run.json"]),
    ],
)
def test_what_a_server_runs_leaves_the_files_that_its_page_names(desk, command, files):
    desk.suite(current=2, draft=40)
    program, flag, paths, *told = shlex.split(command())

    result = desk.run(*told)

    assert (program, flag, paths, result.ret) == ("pytest", "--ftgate", "prompts", 1)
    assert len(files) > 2
    assert [name for name in files if not desk.path(name).is_file()] == []


class _Notes(BaseHTTPRequestHandler):
    """The notes of a merge request."""

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.server.came.append((self.path, self.headers["PRIVATE-TOKEN"], sent["body"]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *arguments) -> None:
        """Be silent."""


@pytest.mark.skipif(not shutil.which("curl"), reason="curl, which the page uses, is not here")
@pytest.mark.parametrize("request_id", ["7", ""], ids=["a merge request", "a branch"])
def test_gitlabs_note_holds_the_report_and_is_for_merge_requests_alone(tmp_path, request_id):
    report = "# Blocked\n\n| a & b | 100 % |\n"
    (tmp_path / "ftgate").mkdir()
    (tmp_path / "ftgate" / "report.md").write_text(report, "utf-8")
    server = HTTPServer(("127.0.0.1", 0), _Notes)
    server.came = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    environ = {
        "PATH": "/usr/bin:/bin",
        "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}/api/v4",
        "CI_PROJECT_ID": "17",
        "CI_MERGE_REQUEST_IID": request_id,
        "NOTES_TOKEN": "glpat-1",
        "NO_PROXY": "127.0.0.1",
    }

    (script,) = job()["after_script"]
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environ, check=True)
    server.shutdown()
    thread.join()
    server.server_close()

    note = ("/api/v4/projects/17/merge_requests/7/notes", "glpat-1", [report])
    assert server.came == ([note] if request_id else [])
