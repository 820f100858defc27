"""Every block of code in the documentation is run or checked by a test, or has a reason here.

A command of pytest or of pytest-ftgate is parsed as it stands, a suite is held to the schema, and
Python is compiled. What a page prints, and what other programs do, needs a line in a table below.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import jsonschema_rs
import yaml

from pytest_ftgate.cli import main as cli
from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.settings import add_options

ROOT = Path(__file__).parents[2]
#: Made from the code or from the tests, and compared with what they make.
GENERATED = {"docs/contributing/ends.md": "test_ends.py", "docs/reference/": "test_site.py"}
#: Other programs in commands: nothing of this repository changes what they take.
OTHER_PROGRAMS = {
    *("pip", "python", "python3", "cp", "hf", "curl", "export", "ollama", "llama-server", "vllm"),
    *("axolotl", "llamafactory-cli", "tune", "lm_eval", "git"),
}
#: Files that are no suite, by page and first words: the test that reads them, or what they are.
OTHER_FILES = {
    "docs/agents.md: name:": "a workflow that calls a runner of agents; its form is checked",
    "docs/ci.md: jobs:": "tests/action/test_examples.py",
    "docs/ci.md:       - name: Download": "a step of examples/workflows/release-gate.yml",
    "docs/ci.md: sh ": "tests/journeys/test_servers_pages.py",
    "docs/ci.md: gates:": "a job of GitLab; its commands are parsed, its form is checked",
    "docs/ci.md:   after_script:": "a part of a job of GitLab that runs curl alone",
    "docs/ci.md: repos:": "a hook of pre-commit, whose command is parsed",
    "docs/ci.md: concurrency:": "a workflow for a machine with a GPU; its form is checked",
    "docs/hooks.md: cases:": "tests/docs/test_hooks.py",
    "docs/providers.md: # tickets.ftgate.yaml": "tests/docs/test_providers.py",
    "docs/migrate.md: # promptfooconfig.yaml": "tests/docs/test_migrate.py",
    "docs/security.md: pytest.ini": "patterns for CODEOWNERS, which GitHub reads",
    "docs/start.md: Answer": "tests/docs/test_start.py",
    "docs/tutorials/labels.md: Name the category": "the two prompts, which a model reads",
    "docs/start.md:   candidate": "tests/docs/test_start.py",
}
LONG = "a step of benchmarks/regenerate.py, which sends hours of requests"
#: What pages print, by page and first words: the test that prints it, or why none does.
PRINTED = {
    "docs/agents.md: $ pytest": "tests/docs/test_agents.py",
    "docs/compare.md: base.jsonl": "tests/docs/test_compare.py",
    "docs/compare.md: old": "tests/docs/test_compare.py",
    "docs/data.md: train.jsonl": "the rows are those of banking77, which is not in the repository",
    "docs/forgetting.md: ": LONG,
    "docs/hooks.md: $ pytest": "tests/docs/test_hooks.py",
    "docs/index.md: ✗": "tests/docs/test_index.py",
    "docs/ladder.md: $ pytest-ftgate history": "its records are commits; tests/cli has the format",
    "docs/migrate.md: $ pytest-ftgate import": "tests/docs/test_migrate.py",
    "docs/contributing/measurements.md: SmolLM2-135M-Instruct": "needs torch",
    "docs/pytest.md: $ pytest --ftgate tests/": "tests/docs/test_pytest.py",
    "docs/how-to/accept.md: NOT ACCEPTED": "tests/docs/test_accept.py",
    "docs/how-to/limits.md: $ pytest-ftgate power": "tests/docs/test_limits.py",
    "docs/how-to/rag.md: $ pytest": "tests/docs/test_rag.py",
    "docs/how-to/new-engine.md: ": "tests/docs/test_new_engine.py",
    "docs/how-to/read-a-build.md: ": "tests/docs/test_read_a_build.py",
    "docs/pytest.md: tests/test_tone.py": "tests/docs/test_pytest.py",
    "docs/pytest.md: $ pytest --ftgate --ftgate-case": "tests/journeys/test_single_cases.py",
    "docs/reports.md: $ pytest-ftgate report": "tests/reporting/test_markdown_model_card.py",
    "docs/contributing/measurements.md: part ": LONG,
    "docs/scale.md: batch ": "tests/journeys/test_batches.py",
    "docs/start.md: wrote": "tests/docs/test_start.py",
    "docs/start.md: ✗": "tests/docs/test_start.py",
    "docs/suite.md: INCONCLUSIVE": "tests/docs/test_accept.py",
    "docs/training.md: ftgate: step 4": LONG,
    "docs/trainers.md: note: another": "tests/cli/test_doctor.py",
    "docs/tutorials/forgetful.md: ✗": "tests/docs/test_tutorials.py",
    "docs/tutorials/labels.md: ": "tests/docs/test_tutorials.py",
}
#: What runs the Python of a page; all of it is compiled as well.
PYTHON = {
    "docs/compare.md": "tests/docs/test_compare.py",
    "docs/hooks.md": "tests/docs/test_hooks.py",
    "docs/providers.md": "tests/docs/test_providers.py",
    "docs/pytest.md": "tests/docs/test_pytest.py",
    "docs/python.md": "tests/docs/test_python.py",
    "docs/training.md": "tests/nightly/test_training_tutorial.py",
    "docs/tutorials/labels.md": "tests/docs/test_tutorials.py",
}
FRAME = {
    "cases": "x.jsonl",
    "variants": {"a": {"provider": "python"}},
    "gates": {"accuracy": {}},
}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks() -> Iterator[Block]:
    for path in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]:
        page, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
            before = text[: found.start()]
            mark = re.search(r"<!-- (screen|figure)\b[^\n]* -->\n$", before)
            line = before.count("\n") + 1
            yield Block(page, line, found[2], mark[1] if mark else "", found[3])


BLOCKS = [one for one in blocks() if not one.page.startswith(tuple(GENERATED))]


def ids(block: Block) -> str:
    return f"{block.page}:{block.line}"


def reason(block: Block, table: dict[str, str]) -> str:
    """Return what *table* says of a block, or ""."""
    return next((why for start, why in table.items() if block.name.startswith(start)), "")


def commands(block: Block) -> list[list[str]]:
    """Return the words of each command that a block types."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    if block.language in ("groovy", "yaml"):
        text = re.sub(r"\n {6}(?=--)", " ", text)  # a folded line of GitLab's script
        typed = re.findall(
            r"(?:sh '+|^ *(?:- |entry: )(?=pip |pytest ))(.*?)'*$", text, re.MULTILINE
        )
    else:
        is_console = text.startswith("$ ")
        typed = [line for line in text.splitlines() if line.startswith("$ ") or not is_console]
    found = []
    for line in typed:
        for part in line.removeprefix("$ ").split(" && "):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                found.append([words[0].removeprefix(".venv/bin/"), *words[1:]])
    return found


def is_typed(block: Block) -> bool:
    """Whether a block without a language has commands alone."""
    known = OTHER_PROGRAMS | {"pytest", "pytest-ftgate"}
    try:
        return all(command[0] in known for command in commands(block))
    except ValueError:  # a quotation mark in a sentence
        return False


def shell(block: Block) -> bool:
    return block.language in ("", "console") and not block.mark


def typed() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each command of the documentation: its place, the program, and the words behind it."""
    for block in BLOCKS:
        is_shell = shell(block) and (block.text.startswith("$ ") or is_typed(block))
        if block.language in ("groovy", "yaml") or is_shell:
            yield from ((ids(block), program, words) for program, *words in commands(block))


def wrong_words(program: str, words: list[str]) -> list[str]:
    """Return what of a command a user could not type."""
    if program == "pytest-ftgate":
        try:
            cli._parser().parse_args(words)
        except SystemExit:
            return words
        return []
    if program != "pytest":
        return [] if program in OTHER_PROGRAMS else [program]
    parser = Mock()
    add_options(parser)
    calls = parser.getgroup().addoption.call_args_list
    known = {call.args[0]: call.kwargs for call in calls}
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--ftgate") and name != "--ftgate":
            choices = known.get(name, {"choices": ()}).get("choices", (value,))
            if name not in known or (equals and value not in choices):
                found.append(word)
    return found


def test_every_command_of_the_documentation_can_be_typed():
    wrong = {
        f"{place} {program}": found
        for place, program, words in typed()
        if (found := wrong_words(program, words))
    }

    assert wrong == {}
    assert {program for _, program, _ in typed()} >= {"pytest", "pytest-ftgate"}


def test_every_suite_of_the_documentation_is_valid_by_the_schema():
    schema = jsonschema_rs.validator_for(json.loads(schema_text("suite")))
    read = {
        ids(block): yaml.safe_load(block.text)
        for block in BLOCKS
        if block.language == "yaml" and not reason(block, OTHER_FILES)
    }

    errors = {
        place: [error.message for error in schema.iter_errors({**FRAME, **value})]
        for place, value in read.items()
    }
    assert errors == {place: [] for place in read}


def test_all_python_of_the_documentation_compiles_and_something_runs_it():
    python = [block for block in BLOCKS if block.language == "python"]
    for block in python:
        compile(block.text, ids(block), "exec")

    assert [ids(block) for block in python if not reason(block, PYTHON)] == []


def is_accounted_for(block: Block) -> bool:
    """Whether a block has the form of its language, and a test or a reason."""
    match block.language:
        case "yaml" | "python":
            return True  # the tests above
        case "toml":
            return bool(tomllib.loads(block.text))
        case "ini":
            configparser.ConfigParser(interpolation=None).read_string(block.text)
            return True
        case "json":
            return bool([json.loads(line) for line in block.text.splitlines()])
        case "csv" | "groovy" | "text":
            return bool(reason(block, OTHER_FILES)) or block.page == "docs/start.md"
        case _:
            is_made = block.mark or is_typed(block)
            return bool(is_made or reason(block, PRINTED) or reason(block, OTHER_FILES))


def test_every_block_is_run_or_checked_or_says_why_not():
    assert [ids(block) for block in BLOCKS if not is_accounted_for(block)] == []


def test_every_line_of_the_tables_is_about_a_block_and_names_a_test_that_exists():
    for table in (OTHER_FILES, PRINTED, PYTHON):
        for start, why in table.items():
            assert any(block.name.startswith(start) for block in BLOCKS), start
            assert not why.startswith("tests/") or (ROOT / why).is_file(), why


#: Workflows, what stands before them in a file, and the form that they have.
WORKFLOWS = {
    "docs/agents.md: name:": ("", "github-workflows"),
    "docs/ci.md: jobs:": ("on: push\n", "github-workflows"),
    "docs/ci.md: concurrency:": ("on: push\n", "github-workflows"),
    "docs/ci.md: gates:": ("", "gitlab-ci"),
}


def test_the_workflows_of_the_documentation_have_the_form_of_their_service(tmp_path):
    paths: dict[str, list[Path]] = {}
    for number, (start, (head, schema)) in enumerate(WORKFLOWS.items()):
        (block,) = [one for one in BLOCKS if one.name.startswith(start)]
        path = tmp_path / f"{number}.yml"
        path.write_text(f"{head}{block.text}", "utf-8")
        paths.setdefault(schema, []).append(path)

    for schema, files in paths.items():
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
        done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
