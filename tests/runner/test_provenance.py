"""What git knows of the files that decide: a cache that a commit brings, and what has changed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.repositories import Repository
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import CacheError
from pytest_ftgate.results.run import FileChanges
from pytest_ftgate.runner.provenance import deciding_files, file_changes, require_untracked
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.loader import load_suite

CACHE = ".ftgate/cache.sqlite"


@pytest.fixture
def repository(tmp_path):
    return Repository.made(tmp_path / "made")


# A cache that git tracks --------------------------------------------------------------------------


def refusal(file: Path, start: Path, **more: Path) -> str:
    """Return why *file* is refused, or "" if it is not."""
    try:
        require_untracked(file, start, **more)
    except CacheError as error:
        return str(error)
    return ""


def command_in(message: str) -> list[str]:
    """Return the command to type."""
    return shlex.split(next(line for line in message.split("\n") if line.startswith("    git ")))


@every_row("start", [".", "prompts", "..", "with blank"])
def test_the_command_untracks_the_cache_from_where_the_run_was_started(repository, start):
    cache = repository.write(CACHE)
    repository.write("prompts/p.md")
    repository.write("with blank/p.md")
    repository.commit(CACHE)
    folder = (repository.path / start).resolve()

    command = command_in(refusal(cache, folder))
    subprocess.run(command, check=True, cwd=folder, capture_output=True)

    assert command[-3:-1] == ["rm", "--cached"]
    assert refusal(cache, folder) == ""
    assert cache.exists()


@every_row("end", ["", "-wal", "-shm", "-journal"])
def test_every_file_that_sqlite_reads_with_the_cache_counts(repository, end):
    cache = repository.write(CACHE)
    repository.write(f"{CACHE}{end}")
    repository.commit(f"{CACHE}{end}")

    assert f"git rm --cached .ftgate/cache.sqlite{end}\n" in refusal(cache, repository.path)
    repository.git("rm", "-q", "--cached", f"{CACHE}{end}")


def test_a_cache_that_git_does_not_track_is_used(repository, tmp_path):
    cache = repository.write(CACHE)
    # Its name begins like that of the cache.
    repository.write(f"{CACHE}.md")
    repository.commit(f"{CACHE}.md")
    assert refusal(cache, repository.path) == ""

    repository.write(".ftgate/.gitignore", "*\n")
    assert refusal(cache, repository.path, safe_root=repository.path) == ""

    outside = tmp_path / "cache.sqlite"
    outside.write_text("x")
    assert refusal(outside, repository.path, safe_root=repository.path) == ""


def test_a_tracked_cache_that_was_deleted_holds_nothing_to_believe(repository):
    cache = repository.write(CACHE)
    repository.commit(CACHE)
    cache.unlink()

    assert refusal(cache, repository.path) == ""


def test_a_link_to_a_tracked_file_counts_as_the_file(repository):
    repository.write("evil/cache.sqlite")
    repository.commit()
    (repository.path / ".ftgate").symlink_to("evil")
    single = repository.write("other/x").with_name("cache.sqlite")
    single.symlink_to("../evil/cache.sqlite")

    for cache in (repository.path / CACHE, single):
        assert "git rm --cached evil/cache.sqlite\n" in refusal(cache, repository.path)


def test_a_tracked_link_counts_wherever_it_leads(repository, tmp_path):
    (tmp_path / "cache.sqlite").write_text("x")
    link = repository.write(".ftgate/x").with_name("cache.sqlite")
    link.symlink_to(tmp_path / "cache.sqlite")
    repository.commit(CACHE)

    assert "git rm --cached .ftgate/cache.sqlite\n" in refusal(link, repository.path)


def test_a_submodule_that_brings_a_cache_is_asked_itself(repository, tmp_path):
    other = Repository.made(tmp_path / "other")
    other.write("cache.sqlite")
    other.commit()
    repository.git("submodule", "--quiet", "add", other.path.as_uri(), ".ftgate")

    message = refusal(repository.path / CACHE, repository.path)

    assert command_in(message) == ["git", "-C", ".ftgate", "rm", "--cached", "cache.sqlite"]


def without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def of_somebody_else(monkeypatch, tmp_path):
    """Let git find that the folder has another owner, as it often has in a container."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [(without_git, "git is not installed"), (of_somebody_else, "detected dubious ownership")],
)
def test_where_git_does_not_say_a_run_notes_it_and_safe_mode_refuses(
    repository, tmp_path, monkeypatch, obstacle, reason
):
    cache, notes = repository.write(CACHE), []
    obstacle(monkeypatch, tmp_path)

    require_untracked(cache, repository.path, warn=notes.append)

    assert len(notes) == 1
    assert notes[0].startswith(".ftgate/cache.sqlite may come from a commit")
    assert reason in notes[0]
    refused = refusal(cache, repository.path, safe_root=repository.path)
    assert reason in refused
    assert "--ftgate-cache=PATH" in refused


def test_without_a_repository_a_run_uses_the_cache_and_safe_mode_does_not(tmp_path):
    cache, notes = tmp_path / "made" / "cache.sqlite", []
    cache.parent.mkdir()
    cache.write_text("x")

    require_untracked(cache, tmp_path, warn=notes.append)

    assert notes == []
    # An archive of a branch has no repository, and may have a cache.
    assert "it is in no repository" in refusal(cache, tmp_path, safe_root=tmp_path)
    assert refusal(cache, tmp_path, safe_root=tmp_path / "other") == ""


def test_no_git_is_called_where_there_is_no_cache(repository, tmp_path, monkeypatch):
    without_git(monkeypatch, tmp_path)
    notes = []

    require_untracked(repository.path / CACHE, repository.path, warn=notes.append)

    assert notes == []


# What has changed ---------------------------------------------------------------------------------

SUITE = """\
prompt: p.md
cases: cases/*.jsonl
reply: {score: {python: "scoring:score"}, format: {json_schema: schema.json}}
variants:
  current: {provider: python, function: "bots:answer"}
gates: {accuracy: {min: 0.5}}
"""
CODE = """\
import words

def answer(case):
    return words.WORD

def score(case, reply):
    return 1
"""
#: What the suite names, what that imports, and what lies beside it.
NAMED = (
    *("p.md", "cases/a.jsonl", "cases/b.jsonl", "schema.json", "scoring.py", "bots.py"),
    *("words.py", "s.ftgate.yaml", "s.accepted.json", "s.replies.jsonl"),
    *("conftest.py", "pytest.ini"),
)


@pytest.fixture
def suite(repository):
    """A repository with a suite below a folder, and its first commit on main."""
    for name in NAMED:
        text = CODE if name in ("scoring.py", "bots.py") else "WORD = 'no'\n"
        repository.write(f"in/{name}", "{}" if name.endswith(".json") else text)
    for name in "ab":
        rows = [{"id": f"{name}{n}", "input": f"{name} {n}", "expected": "no"} for n in range(9)]
        repository.write(f"in/cases/{name}.jsonl", "".join(f"{json.dumps(r)}\n" for r in rows))
    repository.write("in/s.ftgate.yaml", SUITE)
    repository.write("in/readme.md")
    repository.write("in/other/conftest.py")
    repository.write("in/old.ftgate.yaml")
    repository.commit()
    return repository.path / "in" / "s.ftgate.yaml"


def changes(repository: Repository, environ: dict[str, str] | None = None) -> FileChanges:
    """Return what differs for a run of the suite, started at the top of *repository*."""
    root = repository.path
    settings = replace(Settings.of_evaluation(root), files=("*.ftgate.yaml",))
    configuration = root / "in" / "pytest.ini"
    files = deciding_files([load_suite(root / "in" / "s.ftgate.yaml", root)], root, configuration)
    return file_changes(settings, files, environ or {})


def named(found: FileChanges) -> dict[str, str]:
    assert found.unknown == ""
    return {file.name: file.change for file in found.files}


def test_changes_of_files_that_decide_are_named_committed_or_not_and_of_no_others(
    suite, repository
):
    same = changes(repository)
    assert (named(same), same.branch) == ({}, "main")
    assert same.commit == repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "-b", "topic")
    # A suite that was not selected, and a file that no suite names, decide nothing.
    append("old.ftgate.yaml", "readme.md", "other/conftest.py", to=repository)
    assert named(changes(repository)) == {}

    append(*NAMED, to=repository)
    expected = {f"in/{name}": "changed" for name in NAMED}
    assert named(changes(repository)) == expected
    repository.commit()
    assert named(changes(repository)) == expected


def append(*names: str, to: Repository) -> None:
    for name in names:
        with (to.path / "in" / name).open("a", encoding="utf-8") as file:
            file.write("\n")


# A suite that is gone is named though none of its gates runs.
@pytest.mark.parametrize(
    "name", ["s.accepted.json", "s.replies.jsonl", "cases/b.jsonl", "old.ftgate.yaml"]
)
def test_a_file_that_was_deleted_is_named(suite, repository, name):
    (repository.path / "in" / name).unlink()

    assert named(changes(repository)) == {f"in/{name}": "deleted"}
    repository.commit()
    repository.git("branch", "topic")
    repository.git("checkout", "-q", "topic")
    repository.git("branch", "-f", "main", "HEAD^")
    assert named(changes(repository)) == {f"in/{name}": "deleted"}


def test_new_files_are_named_whether_git_tracks_them_or_not(suite, repository):
    repository.git("checkout", "-q", "-b", "topic")
    row = '{"id": "new", "input": "new", "expected": "no"}\n'
    repository.write("in/cases/c.jsonl", row)
    repository.commit()
    repository.write("in/cases/d.jsonl", row.replace("new", "newer"))
    repository.git("rm", "-q", "--cached", "in/s.accepted.json")

    assert named(changes(repository)) == {
        "in/cases/c.jsonl": "added",
        "in/cases/d.jsonl": "untracked",
        "in/s.accepted.json": "untracked",
    }


def test_the_link_and_the_file_that_it_leads_to_both_decide(suite, repository):
    repository.write("other/p.md", "one\n")
    link = repository.path / "in" / "p.md"
    link.unlink()
    link.symlink_to("../other/p.md")
    repository.commit()
    repository.write("other/p.md", "two\n")

    assert named(changes(repository)) == {"other/p.md": "changed"}
    repository.commit()
    repository.write("other/q.md", "three\n")
    link.unlink()
    link.symlink_to("../other/q.md")
    assert named(changes(repository)) == {"in/p.md": "changed", "other/q.md": "untracked"}


def test_names_with_special_characters_are_named_as_they_are(suite, repository):
    name = "a[b]*?\\x.md"
    repository.write(f"in/{name}")
    suite.write_text(SUITE.replace("p.md", json.dumps(name)))
    repository.commit()
    repository.write(f"in/{name}", "two\n")

    assert named(changes(repository)) == {f"in/{name}": "changed"}


def test_a_submodule_with_files_that_decide_is_named_as_one(suite, repository, tmp_path):
    other = Repository.made(tmp_path / "other")
    other.write("p.md")
    other.commit()
    repository.git("submodule", "--quiet", "add", other.path.as_uri(), "shared")
    suite.write_text(SUITE.replace("p.md", "../shared/p.md"))
    repository.commit()
    assert named(changes(repository)) == {}

    repository.write("shared/p.md", "two\n")

    assert named(changes(repository)) == {"shared": "changed"}


# Which branch it is compared with -----------------------------------------------------------------


@pytest.fixture
def topic(suite, repository):
    """The suite on a branch with another prompt, while main has gone on."""
    repository.git("checkout", "-q", "-b", "topic")
    repository.write("in/p.md", "topic\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("in/cases/a.jsonl", '{"id": "later", "input": "x", "expected": "no"}\n')
    repository.commit()
    repository.git("checkout", "-q", "topic")
    return repository


PROMPT = {"in/p.md": "changed"}
#: A repository, its environment, and the branch that it is compared with.
Checkout = tuple[Repository, dict[str, str], str]


def pull_request(origin: Repository, path: Path, depth: int) -> tuple[Repository, dict[str, str]]:
    """Return the checkout of GitHub's merge of topic, and its environment."""
    origin.git("checkout", "-q", "--detach", "main")
    origin.git("merge", "-q", "--no-ff", "-m", "merge", "topic")
    merge = origin.git("rev-parse", "HEAD")
    origin.git("update-ref", "refs/pull/7/merge", "HEAD")
    checkout = Repository.made(path)
    refs = ["+refs/pull/7/merge:refs/remotes/pull/7/merge"]
    refs += ["+refs/heads/*:refs/remotes/origin/*"] * (depth == 0)
    checkout.git("remote", "add", "origin", origin.path.as_uri())
    checkout.git("fetch", "-q", *([f"--depth={depth}"] * (depth > 0)), "origin", *refs)
    checkout.git("checkout", "-q", "--force", "refs/remotes/pull/7/merge")
    event = {"GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": merge}
    return checkout, event


def on_github(topic: Repository, path: Path) -> Checkout:
    """The merge of a pull request, with all history."""
    return *pull_request(topic, path, 0), "main"


def on_github_shallow(topic: Repository, path: Path) -> Checkout:
    return *pull_request(topic, path, 2), "main"


def on_github_itself(topic: Repository, path: Path) -> Checkout:
    """The branch of a pull request, without a merge."""
    checkout, environ = pull_request(topic, path, 0)
    checkout.git("checkout", "-q", "refs/remotes/origin/topic")
    return checkout, environ | {"GITHUB_SHA": "0" * 40}, "main"


def on_gitlab(topic: Repository, path: Path) -> Checkout:
    """A merge request, of which GitLab tells the commit that it began at."""
    began = topic.git("merge-base", "main", "topic")
    environ = {
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "develop", "CI_MERGE_REQUEST_DIFF_BASE_SHA": began,
    }  # fmt: skip
    return topic, environ, "develop"


def on_gitlab_merged(topic: Repository, path: Path) -> Checkout:
    """A merged result, which is compared with what it was merged into."""
    _, environ, branch = on_gitlab(topic, path)
    main = topic.git("rev-parse", "main")
    topic.git("merge", "-q", "--no-ff", "-m", "merge", "main")
    return topic, environ | {"CI_MERGE_REQUEST_TARGET_BRANCH_SHA": main}, branch


def on_jenkins(topic: Repository, path: Path) -> Checkout:
    return Repository.cloned(topic, path), {"CHANGE_TARGET": "main"}, "main"


def at_a_desk(topic: Repository, path: Path) -> Checkout:
    """A clone, whose origin has a default branch of another name."""
    topic.git("branch", "-m", "main", "trunk")
    topic.git("checkout", "-q", "trunk")
    clone = Repository.cloned(topic, path)
    clone.git("checkout", "-q", "-b", "topic", "origin/topic")
    return clone, {}, "origin/trunk"


def at_a_desk_without_an_origin(topic: Repository, path: Path) -> Checkout:
    return topic, {}, "main"


@pytest.mark.parametrize(
    "checkout",
    [
        *(on_github, on_github_shallow, on_github_itself, on_gitlab, on_gitlab_merged, on_jenkins),
        *(at_a_desk, at_a_desk_without_an_origin),
    ],
)
def test_a_branch_is_compared_with_the_one_that_it_goes_to(topic, tmp_path, checkout):
    repository, environ, branch = checkout(topic, tmp_path / "checkout")

    found = changes(repository, environ)

    assert (named(found), found.branch) == (PROMPT, branch)
    if checkout is on_gitlab:
        assert found.commit == environ["CI_MERGE_REQUEST_DIFF_BASE_SHA"]


def test_a_checkout_of_one_commit_says_that_it_cannot_tell(topic, tmp_path):
    checkout, environ = pull_request(topic, tmp_path / "checkout", 1)

    found = changes(checkout, environ)

    assert found == FileChanges(unknown="the clone is shallow; fetch its history (fetch-depth: 0)")


def test_a_target_that_was_not_fetched_is_not_replaced_by_another_branch(topic):
    found = changes(topic, {"GITHUB_BASE_REF": "release"})

    assert found == FileChanges(unknown="the branch release is not here; fetch it (fetch-depth: 0)")


def test_without_a_default_branch_the_last_commit_counts(topic):
    topic.git("branch", "-m", "main", "other")
    topic.write("in/schema.json", "{ }")

    found = changes(topic)

    assert (named(found), found.branch) == ({"in/schema.json": "changed"}, "the last commit")


def test_a_folder_that_is_in_no_repository_says_so_and_one_without_a_commit_breaks_nothing(
    suite, repository
):
    shutil.rmtree(repository.path / ".git")
    assert changes(repository) == FileChanges(unknown="the root directory is in no git repository")

    Repository.made(repository.path)
    assert changes(repository).unknown.startswith("the repository has no commit yet; commit")


def test_where_git_is_not_installed_the_reason_is_that(suite, repository, tmp_path, monkeypatch):
    without_git(monkeypatch, tmp_path)

    assert changes(repository) == FileChanges(unknown="git is not installed")
