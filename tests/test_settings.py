"""Where the cache lies when no setting names it, and how its path is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.settings import short_path


@pytest.fixture
def cache_in_use(pytester, monkeypatch):
    """Return the cache of a run that starts in *start*, relative to the folder of the test."""

    def cache(start=".", *args, made=()):
        for name in made:
            (pytester.path / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(pytester.path / start)
        config = pytester.parseconfigure(*args)
        from pytest_ftgate.settings import Settings

        return Settings.from_config(config).cache.relative_to(pytester.path).as_posix()

    return cache


def test_a_cache_is_made_in_the_root_directory(pytester, cache_in_use):
    pytester.makeini("[pytest]")

    assert cache_in_use("sub", made=["sub", ".git"]) == ".ftgate/cache.sqlite"


def test_the_nearest_folder_up_to_the_top_of_the_repository_is_used(cache_in_use):
    made = ["a/b/c", ".git", ".ftgate"]

    assert cache_in_use("a/b/c", made=made) == ".ftgate/cache.sqlite"
    assert cache_in_use("a/b/c", made=["a/.ftgate"]) == "a/.ftgate/cache.sqlite"


def test_folders_above_the_repository_are_not_searched(cache_in_use):
    made = [".ftgate", "repo/.git", "repo/sub"]

    assert cache_in_use("repo/sub", made=made) == "repo/sub/.ftgate/cache.sqlite"


def test_without_a_repository_the_search_ends_at_the_root_directory(pytester, cache_in_use):
    (pytester.mkdir("root") / "pytest.ini").write_text("[pytest]", "utf-8")
    made = [".ftgate", "root/sub"]

    assert cache_in_use("root/sub", made=made) == "root/.ftgate/cache.sqlite"
    assert cache_in_use("root/sub", made=["root/.ftgate"]) == "root/.ftgate/cache.sqlite"


def test_a_run_of_another_folder_uses_the_cache_there(pytester, cache_in_use):
    (pytester.mkdir("other") / "pytest.ini").write_text("[pytest]", "utf-8")
    made = ["here/.git", "here/.ftgate", "other/.git"]

    assert cache_in_use("here", "../other", made=made) == "other/.ftgate/cache.sqlite"


def test_a_setting_names_the_cache_from_the_root_directory(pytester, cache_in_use):
    pytester.makeini("[pytest]\nftgate_cache = build/replies.sqlite\n")
    made = ["sub/.ftgate"]

    assert cache_in_use("sub", made=made) == "build/replies.sqlite"
    assert cache_in_use("sub", "--ftgate-cache=x.sqlite") == "x.sqlite"


def test_the_shorter_form_of_a_path_is_shown():
    assert short_path(Path("/a/b/c/d"), Path("/a/b/e")) == Path("../c/d")
    assert short_path(Path("/x/y"), Path("/a/b/e")) == Path("/x/y")
