"""What docs/migrate.md shows is what the command prints, and its table knows every assertion."""

from __future__ import annotations

import re
import shlex

from ftgate_testing.pages import page

from pytest_ftgate.cli.main import main

PAGE = page("migrate")


def test_the_configuration_of_the_page_is_imported_as_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ((name, config),) = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / name).write_text(config, "utf-8")
    command, _, printed = shown.removeprefix("$ ").partition("\n")

    code = main(shlex.split(command)[1:])

    assert code == 0
    assert capsys.readouterr().out == printed
