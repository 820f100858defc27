"""git is asked about the folder that is meant, and nothing in that folder answers for it."""

from __future__ import annotations

import pytest
from ftgate_testing.repositories import Repository

from pytest_ftgate.results.history import (
    GitError,
    file_commits,
    git_output,
    repository_of,
    tracked_among,
)


@pytest.fixture
def repository(tmp_path):
    made = Repository.made(tmp_path / "made")
    made.write("prompts/p.md")
    made.commit()
    return made


def test_a_folder_that_a_commit_fills_like_a_repository_is_none_and_runs_no_command(
    repository, tmp_path
):
    prompts, proof = repository.path / "prompts", tmp_path / "proof"
    evil = f'[core]\nbare = false\nworktree = {prompts}\nfsmonitor = "touch {proof}; false"\n'
    repository.write("prompts/HEAD", "ref: refs/heads/main\n")
    repository.write("prompts/config", f"{evil}repositoryformatversion = 0\n")
    repository.write("prompts/objects/x")
    repository.write("prompts/refs/x")

    with pytest.raises(GitError, match="cannot use bare repository"):
        file_commits(prompts / "p.md", 1)
    with pytest.raises(GitError, match="cannot use bare repository"):
        git_output(prompts, "status")

    assert not proof.exists()
    repository.git("-C", "prompts", "status")
    assert proof.exists()


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"])
def test_the_repository_of_a_hook_does_not_stand_in_for_that_of_the_folder(
    repository, tmp_path, monkeypatch, name
):
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert tracked_among(repository.path, ["prompts/p.md", "q.md"]) == ["prompts/p.md"]


def test_a_failure_has_the_words_of_git(repository):
    with pytest.raises(GitError, match=r"git failed: fatal: .*nothing"):
        git_output(repository.path, "log", "nothing")


def test_a_name_is_tracked_in_upper_and_lower_case(repository):
    repository.write(".FTGATE/Cache.SQLITE")
    repository.commit()

    assert tracked_among(repository.path, [".ftgate/cache.sqlite"]) == [".FTGATE/Cache.SQLITE"]


@pytest.mark.parametrize("name", ["a[b]*.sqlite", "-x.sqlite", ":(top)x", "ü\\n.sqlite"])
def test_a_name_with_special_characters_is_that_file_alone(repository, name):
    repository.write(name)
    repository.write("ab.sqlite")
    repository.commit()

    assert tracked_among(repository.path, [name]) == [name]


def test_a_repository_begins_where_git_has_made_it_or_a_worktree(repository, tmp_path):
    inner = Repository.made(repository.path / "prompts" / "inner")

    assert repository_of(inner.path / "x") == inner.path
    assert repository_of(repository.path / "prompts") == repository.path

    repository.git("worktree", "add", "-q", str(tmp_path / "tree"))

    assert repository_of(tmp_path / "tree" / "prompts") == tmp_path / "tree"
    assert tracked_among(tmp_path / "tree", ["prompts/p.md"]) == ["prompts/p.md"]
