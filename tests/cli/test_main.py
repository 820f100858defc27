"""The parser and the verb data."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_ftgate.cli.main import main


def test_a_gate_may_be_named_from_the_root_directory_or_from_this_folder(
    plugin_suite, pytester, run_verb, capsys
):
    pytester.mkdir("other")
    (plugin_suite.parent / "pytest.ini").write_text(
        "[pytest]\naddopts = --confcutdir=..\n", "utf-8"
    )
    pytester.runpytest_inprocess("--ftgate", str(plugin_suite))
    capsys.readouterr()
    gate = "s.ftgate.yaml::accuracy[current]"

    folders = {".": "prompts/", "prompts": "", "other": "../prompts/"}
    ran = {
        folder: run_verb("explain", f"{path}{gate}", folder=folder)
        for folder, path in folders.items()
    }

    for folder, (code, printed) in ran.items():
        assert code == 0, printed
        # The commands have the paths of the folder.
        assert printed.replace(f" {folders[folder]}s.", " s.") == ran["prompts"][1]
    assert "provider: python" in ran["prompts"][1]


def test_training_data_is_examined_with_the_format_of_a_conftest(plugin_suite, run_verb):
    suite = "prompts/s.ftgate.yaml"

    code, printed = run_verb("data", "prompts/train.jsonl", "--suite", suite)

    assert code == 1
    assert "format: 4 answers break the format of replies (short 4)" in printed


def test_rows_that_cannot_be_read_are_among_the_rows_of_a_training_file(tmp_path, capsys):
    row = json.dumps({"input": "a", "answer": "b"})
    file = tmp_path / "train.jsonl"
    file.write_text(f"{row}\nnot json\n{row}\n", "utf-8")

    main(["data", str(file)])

    assert " in 3 rows\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "meant"), [(["comapre", "a"], "compare"), (["cache", "shwo"], "show")]
)
def test_a_misspelt_verb_is_answered_with_the_nearest(capsys, typed, meant):
    with pytest.raises(SystemExit) as exited:
        main(typed)

    assert exited.value.code == 2
    assert capsys.readouterr().err.endswith(f'; did you mean "{meant}"?\n')


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"pytest-ftgate {version('pytest-ftgate')}\n"


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("prompts").write_text("a file where a folder is wanted")

    assert main(["init", "--starter"]) == 1
    assert capsys.readouterr().err == "prompts cannot be read or written: File exists\n"


def test_a_downloaded_model_is_named_by_its_file_and_an_unknown_one_refused(capsys):
    assert main(["download", "smollm2-135m"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()

    assert main(["download", "llama3"]) == 1
    assert 'there are no weights "llama3"; known: smollm2-135m' in capsys.readouterr().err


def test_the_help_lists_the_verbs_of_most_days_before_the_others(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    daily, _, others = capsys.readouterr().out.partition("\nmore verbs:\n")
    assert "explain   explain the verdict" in daily
    assert "import    write a suite" in others
