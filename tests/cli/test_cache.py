"""Verbs of the cache use the cache of a run, and name suites as one types them."""

from __future__ import annotations


def test_an_export_takes_a_suite_with_a_scorer_of_a_conftest_once_it_has_run(
    plugin_suite, pytester, run_verb
):
    pytester.makeini("[pytest]")

    code, printed = run_verb("cache", "export", "s.ftgate.yaml", folder="prompts")

    assert code == 1
    # The command is that for this folder.
    assert "../.ftgate/cache.sqlite has no reply of s.ftgate.yaml; " in printed
    assert "run pytest --ftgate s.ftgate.yaml first" in printed
    pytester.runpytest_inprocess("--ftgate")
    code, printed = run_verb("cache", "export", "s.ftgate.yaml", folder="prompts")
    assert code == 0, printed
    assert "40 replies written to s.replies.jsonl; " in printed


def test_an_import_goes_into_the_cache_of_a_run(plugin_suite, pytester, run_verb):
    pytester.makeini("[pytest]\nftgate_cache = build/replies.sqlite\n")
    pytester.runpytest_inprocess("--ftgate")
    run_verb("cache", "export", "prompts/s.ftgate.yaml")
    (pytester.path / "build" / "replies.sqlite").unlink()

    code, printed = run_verb("cache", "import", "s.replies.jsonl", folder="prompts")

    assert code == 0, printed
    assert printed == "40 of 40 replies are new in ../build/replies.sqlite\n"
