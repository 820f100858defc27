"""The search of the site leads from a reader's words to the page that answers them.

The site is built as it is published, and asked by the code that it runs in a browser.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = Path(__file__).with_name("data") / "search.mjs"
#: How many hits a reader looks at.
READ = 3
#: What readers type, and where the answer stands: a page, or a section of it.
QUESTIONS = {
    "catastrophic forgetting": "forgetting/",
    "why is my build red": "how-to/read-a-build/",
    "azure": "providers/#azure-openai",
    "flaky": "how-to/limits/#is-the-gate-flaky",
    "max_drop": "suite/#default-limits",
    "cost": "how-to/costs/",
    "rollback": "how-to/accept/",
    "margin": "statistics/",
    "regression": "how-to/read-a-build/",
    "confidence interval": "statistics/",
    "non-inferiority": "statistics/",
    "false alarm": "statistics/#what-is-promised",
    "power": "how-to/limits/",
    "inconclusive": "how-to/read-a-build/#inconclusive",
    "how many cases": "how-to/limits/",
    "few-shot": "ladder/",
    "adapter not loaded": "how-to/read-a-build/#invalid",
    "vllm": "providers/#vllm",
    "ollama": "providers/#ollama",
    "baseline": "how-to/accept/",
    "accept": "how-to/accept/",
    "judge": "scores/#judges",
    "custom metric": "scores/#functions",
    "json schema": "scores/#formats",
    "budget": "scale/#budgets",
    "cache": "scale/#the-cache",
    "api key": "security/#where-keys-may-go",
    "rag": "how-to/rag/",
    "latency": "how-to/costs/",
    "promptfoo": "migrate/",
    "compare two files": "compare/",
    "lora": "trainers/",
    "unsloth": "trainers/",
    "checkpoint": "training/",
    "huggingface": "providers/#transformers",
    "hosted fine-tune": "how-to/hosted-fine-tunes/",
    "contamination": "data/",
    "break-even": "ladder/",
    "exit code": "reference/options/#exit-codes",
    "gitlab": "ci/#gitlab",
    "jenkins": "ci/#jenkins",
    "pre-commit": "ci/#pre-commit",
    "gpu": "ci/#a-gpu-runner-of-your-own",
    "nightly": "ci/#each-night",
    "drift": "ci/#each-night",
    "xdist": "pytest/#other-plugins",
    "not recorded": "how-to/troubleshooting/",
    "rate limit": "how-to/troubleshooting/",
    "install": "#install",
    "quickstart": "start/",
    "dry run": "how-to/costs/",
    "hallucination": "how-to/rag/",
    "deprecated model": "how-to/new-base/",
    "type I error": "statistics/#what-is-promised",
    "offline": "scale/#replies-to-commit",
    "langchain": "providers/#your-own-provider",
    "overfitting": "training/",
    "prompt injection": "security/",
    "no gpu": "providers/#llamacpp",
    "change prompt": "start/",
    "python function": "providers/#a-function-of-yours",
    "gate a coding agent": "agents/",
    "test a skill": "agents/",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build the site in a folder of its own, and return where its pages are."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", [*sys.path, str(ROOT / "docs")])
        spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs" / "site.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        patched.setattr(module, "STAGE", tmp_path_factory.mktemp("site"))
        patched.setenv("READTHEDOCS_GIT_CLONE_URL", "https://example.org/team/pytest-ftgate.git")
        assert module.build() == 0
        return module.STAGE / "out"


@pytest.mark.heavy
@pytest.mark.skipif(not shutil.which("node"), reason="the search of the site is JavaScript")
def test_each_question_leads_to_its_answer_in_the_first_hits(site):
    done = subprocess.run(
        ["node", SEARCH, site],
        input="\n".join(QUESTIONS),
        capture_output=True,
        text=True,
        check=True,
    )
    hits = {question: found[:READ] for question, found in json.loads(done.stdout).items()}

    missed = {
        question: hits[question]
        for question, wanted in QUESTIONS.items()
        if not any(hit.startswith(wanted) for hit in hits[question])
    }
    assert missed == {}


def test_pages_that_answer_no_question_are_not_searched(site):
    index = json.loads((site / "search.json").read_text("utf-8"))
    locations = [item["location"] for item in index["items"]]

    left_out = ("changelog/", "contributing/", "reference/run-record/", "reference/python-api/")
    assert [place for place in locations if place.startswith(left_out)] == []
    assert (site / "reference" / "run-record" / "index.html").is_file()


def test_pages_have_the_version_colours_and_links_to_the_repository(site):
    page = (site / "how-to" / "read-a-build" / "index.html").read_text("utf-8")
    start = (site / "start" / "index.html").read_text("utf-8")

    assert "https://example.org/team/pytest-ftgate" in page
    assert "edit/main/docs/how-to/read-a-build.md" in page
    assert '<span class="ftgate-failed">BLOCKED' in page
    assert "language-bash" in start
