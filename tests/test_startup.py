"""What a run imports: nothing heavy for those who only have the plugin installed."""

from __future__ import annotations

import sys

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.repositories import Repository
from ftgate_testing.tables import every_row

HEAVY = ("anthropic", "sklearn", "scipy", "numpy", "xllamacpp")
ALL = (*HEAVY, "pydantic", "jinja2", "yaml", "jsonschema_rs", "sqlite3", "tabulate", "wcwidth")

PROBE = """
import sys, pytest
code = pytest.main(sys.argv[2:])
print("imported:", *sorted(set(sys.argv[1].split(",")) & sys.modules.keys()))
sys.exit(code)
"""
#: A provider of the team's own, as it would stand in a conftest.py.
PROVIDER = """\
from pytest_ftgate import Provider, Reply, Request, RetryableError

class House(Provider):
    async def generate(self, call: Request) -> Reply:
        raise RetryableError("closed")

def pytest_ftgate_providers():
    return {"house": House}
"""
SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}}
variants:
  current: {provider: recorded, replies: current.jsonl}
  short: {provider: recorded, replies: short.jsonl}
gates: {accuracy: {min: 0.8, max_drop: 0.05}}
"""


@pytest.fixture
def probe(pytester, monkeypatch):
    """Run pytest in a process of its own, and let it tell which of the named modules it has."""
    # Other plugins of this environment may import what ours does not.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(names, *args):
        plugin = ("-p", "pytest_ftgate")
        return pytester.run(sys.executable, "-c", PROBE, ",".join(names), *plugin, *args)

    return run


@pytest.fixture
def suite(pytester):
    ids = [f"c{number:02}" for number in range(60)]
    asked = [{"id": one, "input": f"Where is my money, {one}?"} for one in ids]
    late = [{"id": one, "text": "billing" if one == "c07" else "refund"} for one in ids]
    write_rows(pytester.path / "tickets.cases.jsonl", [{**a, "expected": "refund"} for a in asked])
    write_rows(pytester.path / "current.jsonl", late)
    write_rows(pytester.path / "short.jsonl", [{"id": one, "text": "refund"} for one in ids])
    (pytester.path / "tickets.ftgate.yaml").write_text(SUITE, "utf-8")


@pytest.mark.parametrize("conftest", ["", PROVIDER], ids=["alone", "with a provider"])
def test_a_run_without_gates_imports_nothing_heavy(pytester, probe, conftest):
    pytester.makeconftest(conftest)
    pytester.makepyfile("def test_it(): pass")

    result = probe(ALL)

    result.stdout.fnmatch_lines(["*1 passed*", "imported:"])


@pytest.mark.parametrize("choose", ["first", "similar"])
def test_collecting_training_data_and_examples_imports_nothing_heavy(
    suite, pytester, probe, choose
):
    floor = "{provider: classical, training_data: train.jsonl}"
    examples = f"{{from: train.jsonl, choose: {choose}}}"
    shots = f"{{provider: anthropic, model: m, examples: {examples}}}"
    more = f"variants:\n  floor: {floor}\n  few-shot: {shots}\n"
    (pytester.path / "train.jsonl").write_text('{"text": "pay me back", "label": "refund"}')
    (pytester.path / "tickets.ftgate.yaml").write_text(SUITE.replace("variants:\n", more))

    result = probe(HEAVY, "--ftgate", "--collect-only")

    result.stdout.fnmatch_lines(["*4 tests collected*", "imported:"])


def test_a_recorded_run_imports_no_sdk(suite, probe):
    result = probe(("anthropic", "sklearn", "xllamacpp"), "--ftgate")

    result.stdout.fnmatch_lines(["*2 passed*", "imported:"])


#: The most modules of the package that a run of one case may import.
MOST_MODULES = 120
ONE_CASE = """\
prompt: one.md
cases: [{{id: a, input: hello, expected: ok}}]
variants: {{current: {{provider: anthropic, model: served, base_url: "{url}"}}}}
gates: {{accuracy: {{min: 0.5, evidence: point}}}}
"""


@pytest.fixture
def one_case(api, pytester):
    """A suite of one case, whose prompt has a variable, and which a real client sends."""
    (pytester.path / "one.ftgate.yaml").write_text(ONE_CASE.format(url=api.url), "utf-8")
    (pytester.path / "one.md").write_text("Answer {{ input }}.", "utf-8")


MODULES_PROBE = """
import sys, pytest
code = pytest.main(sys.argv[1:])
ours = [name for name in sys.modules if name.startswith("pytest_ftgate.")]
print("jinja:", "jinja2" in sys.modules)
print("modules:", *(name for name in ours if not hasattr(sys.modules[name], "__path__")))
sys.exit(code)
"""


def test_a_run_of_one_case_imports_few_modules_of_the_package_and_no_jinja(
    one_case, pytester, monkeypatch
):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    run = pytester.run(sys.executable, "-c", MODULES_PROBE, "-p", "pytest_ftgate", "--ftgate")

    # Its prompt is of text and variables.
    run.stdout.fnmatch_lines(["*1 passed*", "jinja: False", "modules: *"])
    modules = run.outlines[-1].split()[1:]
    surplus = modules[MOST_MODULES:]
    assert surplus == [], f"{len(modules)} modules; these came last: import them where needed"
    assert len(modules) > MOST_MODULES // 2


#: Runs a verb, and tells which of the named modules it has imported.
VERB_PROBE = """
import sys
from pytest_ftgate.cli.main import main
try:
    code = main(sys.argv[2:])
except SystemExit as stop:  # of --help
    code = stop.code
print("imported:", *sorted(set(sys.argv[1].split(",")) & sys.modules.keys()))
sys.exit(code)
"""


@every_row(("verb", "shown"), [
    (["--help"], "*VERB*"),
    (["report", "--help"], "*--model-card PATH*"),
    (["schema"], '*"title": "pytest-ftgate suite",*'),
    (["history"], "*short: accuracy 100 % passed*"),
], ids=["help", "help of a verb", "schema", "history"])  # fmt: skip
def test_a_verb_that_only_shows_a_text_imports_nothing_heavy(suite, pytester, verb, shown):
    if verb == ["history"]:
        accepts = pytester.runpytest_inprocess("--ftgate", "--ftgate-accept")
        accepts.assert_outcomes(passed=2)
        Repository.made(pytester.path).commit()
    names = ",".join((*ALL, "pytest", "_pytest"))

    result = pytester.run(sys.executable, "-c", VERB_PROBE, names, *verb)

    assert result.ret == 0
    result.stdout.fnmatch_lines([shown, "imported:"])


#: Notes each module of the package that another thread than the first one imports.
NOTES_THREADS = """
import sys
from threading import current_thread, main_thread

class Notes:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("pytest_ftgate") and current_thread() is not main_thread():
            with open("elsewhere.txt", "a") as stream:
                print(name, file=stream)

sys.meta_path.insert(0, Notes())
"""


def test_modules_of_the_package_are_imported_in_the_main_thread_alone(suite, pytester, probe):
    asked = '{provider: python, function: "answers:answer"}'
    more = f"variants:\n  asked: {asked}\n  floor: {{like: asked}}\n"
    pytester.makeconftest(NOTES_THREADS)
    pytester.makepyfile(answers="def answer(case): return case.expected")
    (pytester.path / "tickets.ftgate.yaml").write_text(SUITE.replace("variants:\n", more))

    result = probe(("anthropic",), "--ftgate")

    result.stdout.fnmatch_lines(["*3 passed*"])
    assert not (pytester.path / "elsewhere.txt").exists()
