"""Where the cache lies when no setting names it, and how its path is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest import unraisableexception

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.settings import short_path


def uncollected(config):
    """Return *config*, whose end collects no garbage: the heap of a test process is large."""
    key = getattr(unraisableexception, "gc_collect_iterations_key", None)
    if key is not None:
        config.stash[key] = 0
    return config


@pytest.fixture
def cache_in_use(pytester, monkeypatch):
    """Return the cache of a run that starts in *start*, relative to the folder of the test."""

    def cache(start=".", *args, made=()):
        for name in made:
            (pytester.path / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(pytester.path / start)
        config = uncollected(pytester.parseconfigure(*args))
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


def test_without_a_repository_and_a_configuration_file_a_folder_above_is_found(cache_in_use):
    assert cache_in_use("prompts", made=[".ftgate", "prompts"]) == ".ftgate/cache.sqlite"
    assert cache_in_use("prompts", made=["prompts/.ftgate"]) == "prompts/.ftgate/cache.sqlite"


def test_no_folder_is_taken_from_where_all_users_may_make_one(pytester, cache_in_use):
    made = ["shared/.ftgate", "shared/mine/sub"]
    (shared := pytester.mkdir("shared")).chmod(0o1777)

    assert cache_in_use("shared/mine/sub", made=made) == "shared/mine/sub/.ftgate/cache.sqlite"
    shared.chmod(0o700)
    assert cache_in_use("shared/mine/sub") == "shared/.ftgate/cache.sqlite"


def test_without_a_repository_the_search_ends_at_a_configured_root(pytester, cache_in_use):
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


# Trust -------------------------------------------------------------------------------------------


@pytest.fixture
def settings(pytester):
    def read(ini="", *args):
        pytester.makeini(f"[pytest]\n{ini}")
        from pytest_ftgate.settings import Settings

        return Settings.from_config(uncollected(pytester.parseconfig(*args)))

    return read


def test_safe_mode_sends_nothing_unless_the_command_line_says_so(settings):
    safe = settings("ftgate_safe = true\nftgate_replies = auto")

    assert (safe.safe, safe.replies) == (True, "recorded")
    assert settings("", "--ftgate-safe").replies == "recorded"
    assert settings("", "--ftgate-safe", "--ftgate-replies=auto").replies == "auto"
    assert (settings().safe, settings().replies) == (False, "auto")


def test_each_line_of_ftgate_keys_pairs_a_key_with_a_host(settings):
    keys = settings("ftgate_keys =\n  A_KEY@LLM.example\n  B@[::1]:8000\n  C@$C_URL").keys

    assert [(key.name, key.host, key.port, key.variable) for key in keys] == [
        ("A_KEY", "llm.example", None, ""),
        ("B", "::1", 8000, ""),
        ("C", "", None, "C_URL"),
    ]


def test_the_options_that_a_command_repeats_are_those_of_the_command_line(settings):
    given = settings(
        "ftgate_replies = recorded\nftgate_safe = true",
        *("--ftgate", "--ftgate-safe", "--ftgate-max-usd=0.50", "--ftgate-replies=fresh", "-q"),
        *("--ftgate-cache=my replies.sqlite", "--ftgate-accept", "--ftgate-json=run.json"),
    )

    assert given.options == (
        "--ftgate-replies=fresh",
        "--ftgate-cache='my replies.sqlite'",
        "--ftgate-max-usd=0.50",
        "--ftgate-safe",
    )
    # A configuration file counts for the next command too.
    assert settings("ftgate_replies = recorded\nftgate_safe = true").options == ()


def test_options_that_decide_how_replies_come_and_of_which_variants_are_repeated(settings):
    options = ("--ftgate-max-minutes=5.0", "--ftgate-batch")
    variants = ("--ftgate-variant=new", "--ftgate-variant=my own")

    assert {*settings("", "--ftgate", *options, *variants).options} == {
        *options, "--ftgate-variant=new", "--ftgate-variant='my own'"
    }  # fmt: skip


@pytest.mark.parametrize("line", ["A", "@h", "A@", "A@https://h", "A@*", "A@h/v1", "A B@h", "A@$"])
def test_a_line_that_is_no_pair_is_an_error_with_an_example(settings, line):
    with pytest.raises(ConfigurationError, match="write the name of a variable and a host, such"):
        settings(f"ftgate_keys = {line}")


def test_the_help_lists_the_options_of_most_days_before_the_others(pytester):
    lines = [line.split()[0] for line in pytester.runpytest("--help").outlines if line.strip()]

    places = [*map(lines.index, ("--ftgate", "--ftgate-html=PATH", "--ftgate-cache=PATH"))]
    assert places == sorted(places)


def test_the_help_explains_each_configuration_key_by_itself(pytester):
    result = pytester.runpytest("--help")

    result.stdout.fnmatch_lines(
        [
            "  ftgate_max_minutes (string):",
            "*Stop sending requests after M minutes.",
            "  ftgate_json (string): Write the run record, from which pytest-ftgate report",
            "* The path starts at the root",
        ]
    )
