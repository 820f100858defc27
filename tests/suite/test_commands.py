"""The key ``command``: what a suite may declare of a program, and what it is refused."""

from __future__ import annotations

import pytest
from ftgate_testing.suite_files import Like, errors_of, load_text, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.requests.builder import RequestBuilder

SUITE = """
cases: [{{id: a, input: "do it"}}]
reply: {{score: recorded}}
variants: {{new: {{provider: command, slots: 2, command: {command}}}}}
gates: {{accuracy: {{min: 0.5}}}}
"""


@pytest.fixture
def load(tmp_path):
    write_files(tmp_path, {"agent.py": "print(1)", "skill/SKILL.md": "one"})
    return lambda command: load_text(tmp_path, SUITE.format(command=command))


def fingerprint(suite, **environ: str) -> str:
    builder = RequestBuilder(suite, suite.variants["new"], environ)
    return builder.build(suite.cases[0], (), 0).fingerprint


def test_a_folder_is_given_with_all_its_files(load):
    suite = load("{run: [python3, agent.py], files: [agent.py, skill]}")

    names = [name for name, _ in suite.variants["new"].runtime["files"]]
    assert names == ["agent.py", "skill/SKILL.md"]


def test_a_changed_file_is_asked_again_and_the_number_at_once_is_not(load, tmp_path):
    command = "{run: [python3, agent.py], files: [agent.py, skill]}"
    before = fingerprint(load(command))
    (tmp_path / "other.txt").write_text("not given")

    assert fingerprint(load(command)) == before
    assert fingerprint(load(f"{command[:-1]}, seconds: 5}}")) != before
    (tmp_path / "skill" / "SKILL.md").write_text("two")
    assert fingerprint(load(command)) != before


def test_another_value_of_a_variable_is_asked_again_and_another_key_is_not(load):
    command = "{{run: [python3], env: {{MODEL: {}}}, keys: [PGPASS]}}"
    before = fingerprint(load(command.format("a")), PGPASS="hunter2")

    assert fingerprint(load(command.format("a")), PGPASS="hunter3", MODEL="b") == before
    assert fingerprint(load(command.format("b")), PGPASS="hunter2") != before


@every_row(
    ("command", "message"),
    [
        ("{run: [no-such-program]}", "there is no program no-such-program; install it"),
        ("{run: [agent.py]}", "there is no program agent.py; name it under files as well"),
        ('{run: ["{{ id }}"]}', "the program cannot be a template"),
        ('{run: [bash, -c, "echo {{ input }}"]}', "a shell reads its text as commands"),
        ('{run: [python3, "{{ no_such }}"]}', "no_such"),
        ("{run: [python3], files: [gone.py]}", "gone.py"),
        ("{run: []}", "run"),
        ("{run: [python3], env: [A, B]}", "env: {A: VALUE}; ...keys: [A, B]"),
        ("{run: [python3], env: {A: sk-0123456789abcdefg}}", "credential...name that in keys"),
        ('{run: [python3], env: {A: "b\\0c"}}', "env: A has a null character"),
        ("{run: [python3], env: {GITHUB_TOKEN: a}}", "GITHUB_TOKEN looks like a credential"),
        ("{run: [python3], env: {DB_PASS: a}}", "DB_PASS looks like a credential"),
        ('{run: [python3], env: {DB: "pg://me:hunter2@db:5/app"}}', "DB looks like a credential"),
        ('{run: [python3], keys: ["A=1"]}', "A=1"),
        ("python3 agent.py", "command"),
    ],
)
def test_a_command_that_cannot_run_is_an_error_with_its_line(load, command, message):
    assert errors_of(load, command) == [Like(f"4: ...{message}...")]


def test_variables_that_only_look_like_credentials_are_given(load):
    env = {"MAX_TOKENS": "8", "TOKENIZERS_PARALLELISM": "false", "PASSWORDLESS": "1"}
    env["DATABASE_URL"] = "postgres://me@db:5432/app"

    suite = load(f"{{run: [python3], env: {env}}}")

    assert suite.variants["new"].options["env"] == env


def test_a_link_within_a_folder_leads_nowhere_else(load, tmp_path):
    (tmp_path / "skill" / "secret").symlink_to("/etc/hostname")
    told = "...skill/secret lies outside the folder of the suite..."
    assert errors_of(load, "{run: [python3], files: [skill]}")[:1] == [Like(told)]


def test_what_tools_keep_in_a_folder_is_left_out(load, tmp_path):
    for name in (".ftgate", "__pycache__"):
        (tmp_path / "skill" / name).mkdir()
        (tmp_path / "skill" / name / "file").write_text("changes")

    suite = load("{run: [python3], files: [skill]}")
    assert [name for name, _ in suite.variants["new"].runtime["files"]] == ["skill/SKILL.md"]


def test_a_changed_or_renamed_file_of_a_python_function_is_asked_again(tmp_path):
    files = {"app.py": "def answer(case): ...", "prompt.txt": "one", "data/one.txt": "1"}
    write_files(tmp_path, files)
    variant = 'new: {provider: python, function: "app:answer", files: [prompt.txt, data]}'
    cases, gates = "[{id: a, input: b, expected: c}]", "{accuracy: {min: 0.5}}"
    text = f"cases: {cases}\nvariants: {{{variant}}}\ngates: {gates}"
    before = fingerprint(load_text(tmp_path, text))

    (tmp_path / "prompt.txt").write_text("two")
    changed = fingerprint(load_text(tmp_path, text))
    (tmp_path / "data" / "one.txt").rename(tmp_path / "data" / "three.txt")
    assert len({before, changed, fingerprint(load_text(tmp_path, text))}) == 3
