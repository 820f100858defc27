"""The tutorials work as they stand there."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.labelling import read_lines
from ftgate_testing.pages import DOCS, assert_shows, page

from pytest_ftgate.cli.main import main

FORGETFUL = page("tutorials/forgetful")
LABELLING = page("tutorials/labels")
#: Each input to which the replies differed, with the reply under either prompt.
PREVIEWS = Path(__file__).with_name("data") / "differing_previews.txt"
READING = page("forgetting").partition("## Reading the verdict")[2]


def test_the_screen_of_a_verdict_is_that_of_the_page_on_reports():
    assert re.findall(r"```\n(.*?)```", READING, re.DOTALL)[0] in page("reports")


@pytest.mark.heavy
def test_the_commands_after_the_demo_do_what_the_page_says(pytester, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    run, after = re.findall(r"^```\n(pytest.*?)```", FORGETFUL, re.DOTALL | re.MULTILINE)
    only, why = [shlex.split(line, comments=True) for line in after.splitlines()]
    assert main(run.split()[1:]) == 0, capsys.readouterr().err

    result = pytester.runpytest_subprocess(*only[1:])
    capsys.readouterr()
    code = main(why[1:])

    assert result.ret == pytest.ExitCode.OK
    assert code == 0
    printed = capsys.readouterr().out
    first, more = re.findall(r"```\n(.*?)```", READING, re.DOTALL)[:2]
    assert first.partition("\n\n")[0] in printed
    assert more in printed


def write_previews(folder: Path) -> None:
    """Write the files of the tutorial on labels, with the replies that the model gave as it ran."""
    (program,) = re.findall(r"```python\n(# inputs.py\n.*?)```", LABELLING, re.DOTALL)
    exec(program.replace("../pytest-ftgate/", f"{DOCS.parent.as_posix()}/"), {})
    (suite,) = re.findall(r"```yaml\n(.*?)```", LABELLING, re.DOTALL)
    recorded = "  current: {provider: recorded, replies: current.jsonl, gated: false}\n"
    recorded += "  new: {provider: recorded, replies: new.jsonl}\ngates:"
    text = re.sub(r"(?<=variants:\n).*?^gates:", recorded, suite, flags=re.DOTALL | re.MULTILINE)
    (folder / "tickets.ftgate.yaml").write_text(text, "utf-8")
    rows = [
        row for name in ("production", "tickets.cases") for row in read_lines(Path(f"{name}.jsonl"))
    ]
    same = {row["id"]: row.get("expected", "repair") for row in rows}
    differing = [line.split() for line in PREVIEWS.read_text("utf-8").splitlines()]
    for place, variant in enumerate(("current", "new"), 1):
        texts = same | {line[0]: line[place] for line in differing}
        write_rows(folder / f"{variant}.jsonl", [{"id": k, "text": t} for k, t in texts.items()])


def test_the_labels_of_the_tutorial_decide_as_it_shows(pytester, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    write_previews(pytester.path)
    screens = re.findall(r"```console\n(?:\$ (.*?)\n)?(.*?)```", LABELLING, re.DOTALL)
    runs = [screen for typed, screen in screens if typed == "pytest --ftgate ."]
    verbs = [
        (typed.split()[1:], screen) for typed, screen in screens if typed.startswith("pytest-")
    ]
    ends = [screen for typed, screen in screens if not typed]
    keys = re.findall(r"`([12bns]{9,})`", LABELLING)
    assert (len(runs), len(verbs), len(ends), len(keys)) == (3, 5, 2, 2)

    assert main(verbs[0][0]) == 0
    assert capsys.readouterr().out == verbs[0][1]
    for at, screen in enumerate(runs):
        assert_shows(pytester.runpytest_inprocess("--ftgate", "."), screen)
        capsys.readouterr()
        if at < len(keys):
            monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(f"{keys[at]}q")))
            assert main([*verbs[1][0], "--by", "Ada"]) == 0
            printed = capsys.readouterr().out
            assert printed.endswith(ends[at])
            assert at or printed.startswith(verbs[1][1])
    for typed, screen in verbs[2:4]:
        assert main(typed) == 0
        assert capsys.readouterr().out == screen
