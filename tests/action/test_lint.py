"""The action and the example workflows, as the tools read them that guard workflows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ftgate_testing.github import ACTION, ROOT
from ftgate_testing.tables import every_row

EXAMPLES = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
WORKFLOWS = [*EXAMPLES, *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
PLACEHOLDER = "OWNER/pytest-ftgate@COMMIT"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Return a repository with the action and every workflow, as a user would have filled them."""
    folder = tmp_path_factory.mktemp("repository")
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (folder / "action.yml").write_text(ACTION.read_text("utf-8"), "utf-8")
    for path in WORKFLOWS:
        text = path.read_text("utf-8").replace(PLACEHOLDER, f"owner/pytest-ftgate@{'ab12' * 10}")
        # An example and a workflow of this repository may have the same name.
        origin = path.relative_to(ROOT).parts[0].strip(".")
        (workflows / f"{origin}-{path.name}").write_text(text, "utf-8")
    return folder


def test_no_cache_is_kept_that_the_code_of_a_fork_could_fill():
    steps = yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
    (saves,) = [step for step in steps if "actions/cache/save" in step.get("uses", "")]

    assert "steps.check.outputs.fork == 'false'" in saves["if"]


def linted(tool, *args):
    found = shutil.which(tool, path=f"{BIN}:/usr/bin:/usr/local/bin")
    assert found, f'{tool} is not installed: pip install -e ".[dev]"'
    return subprocess.run([found, *map(str, args)], capture_output=True, text=True, check=False)


def test_zizmor_finds_nothing(repository):
    done = linted("zizmor", "--offline", "--no-progress", repository)

    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing(repository):
    done = linted("actionlint", *sorted((repository / ".github" / "workflows").iterdir()))

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("kind", ["actions", "workflows"])
def test_the_schemas_of_github_are_met(repository, kind):
    paths = [repository / "action.yml"]
    if kind == "workflows":
        paths = sorted((repository / ".github" / "workflows").iterdir())

    done = linted("check-jsonschema", "--builtin-schema", f"vendor.github-{kind}", *paths)

    assert done.returncode == 0, done.stdout


@every_row("path", [ACTION, *WORKFLOWS])
def test_every_action_is_pinned_by_its_commit_with_its_version_beside(path):
    used = re.findall(r"uses: (.*)", path.read_text("utf-8"))

    assert used
    for one in used:
        assert re.fullmatch(r"[\w/-]+@([0-9a-f]{40}|COMMIT) # v\d+\.\d+\.\d+", one), one


def test_inputs_reach_scripts_through_the_environment_alone_and_modules_not_from_the_folder():
    steps = yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]

    assert len(scripts) == 5
    assert not [one for one in scripts if "${{" in one]
    # Of the folder in which a step starts, the files are those of the pull request.
    assert not [one for one in scripts if re.search(r"python3? -[^P]", one)]


@every_row("path", EXAMPLES)
def test_the_examples_give_inputs_that_the_action_has(path):
    known = yaml.safe_load(ACTION.read_text("utf-8"))["inputs"]
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    given = [s["with"] for job in jobs for s in job["steps"] if "ftgate" in s.get("uses", "")]

    assert given
    assert {name for one in given for name in one} <= set(known)
