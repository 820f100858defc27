"""What docs/providers.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.foreign_plugins import load_installed
from ftgate_testing.loopback import Handler, loopback
from ftgate_testing.pages import page


def blocks() -> dict[str, str]:
    """Return the code blocks of the page by the file name in their first lines."""
    return dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", page("providers"), re.DOTALL))


@pytest.fixture
def gateway(monkeypatch):
    """Return the requests to a gateway with right answers, like the model of the page's suite."""
    requests = []

    class House(Handler):
        def post(self) -> None:
            requests.append(json.loads(self.sent()))
            self.give_json(200, {"text": "refund"})

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback(House) as address:
        monkeypatch.setenv("HOUSE_URL", address)
        yield requests


@pytest.fixture
def written(pytester):
    """Write the suite of the page, and what it names, into a folder."""
    found = blocks()
    cases = [{"input": f"Refund order {n}", "expected": "refund"} for n in range(40)]
    write_rows(pytester.path / "tickets.cases.jsonl", cases)
    found["tickets.md"] = "Answer with one label.\n"
    for name, text in found.items():
        (pytester.path / name).write_text(text, "utf-8")
    # The page's pyproject.toml belongs to another package, and its function to another test.
    for name in ("pyproject.toml", "app.py", "app.ftgate.yaml"):
        (pytester.path / name).unlink()
    return pytester


def test_the_conftest_and_the_suite_of_the_page_work_together(written, gateway):
    result = written.runpytest_inprocess("--ftgate")

    result.assert_outcomes(passed=1)
    system, user = gateway[0]["messages"]
    assert system == ["system", "Answer with one label."]
    assert user[1].startswith("Refund order ")
    assert {(request["model"], request["region"]) for request in gateway} == {
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


def test_a_function_of_yours_gets_cases_as_the_page_writes_it(pytester):
    cases = [{"input": f"Refund order {n}", "expected": "refund"} for n in range(40)]
    write_rows(pytester.path / "tickets.cases.jsonl", cases)
    code = f"def pipeline(text):\n    return text.split()[0].lower()\n\n\n{blocks()['app.py']}"
    (pytester.path / "app.py").write_text(code, "utf-8")
    (pytester.path / "app.ftgate.yaml").write_text(blocks()["app.ftgate.yaml"], "utf-8")

    pytester.runpytest_subprocess("--ftgate").assert_outcomes(passed=1)
