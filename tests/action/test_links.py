"""The comment links to the lines of gates, and into the page where it is published."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.reports import failing_run

from pytest_ftgate.reporting.markdown import markdown_report
from pytest_ftgate.settings import _build_settings

ON_GITHUB = replace(failing_run(), facts={"run": "https://github.example/shop/desk/actions/runs/1"})
STEPS = Path(__file__).parents[2] / "action" / "steps.py"


@pytest.fixture(scope="module")
def steps():
    spec = importlib.util.spec_from_file_location("steps", STEPS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_published_page_is_linked_as_a_whole_and_for_each_gate(steps):
    text = steps.with_links(markdown_report(ON_GITHUB, 60_000), "https://x.example/p.html", "")

    assert " · [the page with every case](https://x.example/p.html)\n" in text
    cases = "suite=suite.ftgate.yaml&gate=accuracy&variant=new&kind=regressed"
    assert f" · [its cases](https://x.example/p.html#{cases})" in text
    assert "<!-- page" not in text


def test_an_artifact_is_linked_as_a_whole_since_it_is_a_zip_file(steps):
    text = steps.with_links(markdown_report(ON_GITHUB, 60_000), "", "https://gh.example/a/1")

    assert text.count("https://gh.example/a/1") == 1
    assert "its cases" not in text


def test_without_a_page_the_comment_has_no_link_to_one(steps):
    text = steps.with_links(markdown_report(ON_GITHUB, 60_000), "", "")

    assert "page" not in text.split("<details>")[0]


def test_a_reply_cannot_make_a_link(steps):
    forged = "- said <!-- page:](https://evil.example) --> and &lt;!-- page: --&gt;"

    assert steps.with_links(forged, "https://x.example/p.html", "") == forged


def test_gates_are_linked_to_their_lines_at_the_commit_of_the_run():
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "shop/desk",
        "GITHUB_SHA": "abc123",
        "GITHUB_WORKSPACE": "/work/desk",
    }
    source = _build_settings(environ, Path("/work/desk"))["source_url"]
    assert source == "https://github.example/shop/desk/blob/abc123"
    assert _build_settings(environ, Path("/work/desk/a"))["source_url"] == f"{source}/a"

    run = failing_run()
    text = markdown_report(replace(run, facts={"source": source}), 60_000)

    assert f"**[accuracy&#91;new&#93;]({source}/suite.ftgate.yaml#L" in text
    assert "source" not in text.split("<sub>")[-1]
