"""Safe mode: the suite of a stranger names no code, no plugin and no file elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite import safe_mode
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.safe_mode import check_safe

PLUGINS = PluginContributions(
    providers=["house"], scorers={"tone": lambda *_: 1}, formats={"tidy": lambda *_: ""}
)
SUITE = """\
cases:
  - {{id: a, input: x, expected: "1"{case}}}
reply: {{{reply}}}
variants:
  current: {{{variant}}}
gates: {{accuracy: {{min: 0.1}}}}
"""
HOSTED = "provider: openai-compatible, model: m"
JUDGE = "score: {judge: {rubric: 'Is it good?', model: {provider: python, function: 'm:f'}}}"


@pytest.fixture
def suite(tmp_path):
    def read(variant=HOSTED, reply="score: exact", case=""):
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True, exist_ok=True)
        (root / "m.gguf").touch()
        (tmp_path / "out.gguf").touch()
        path = root / "s.ftgate.yaml"
        path.write_text(SUITE.format(variant=variant, reply=reply, case=case), "utf-8")
        return load_suite(path, root, PLUGINS)

    return read


def errors_of(suite):
    with pytest.raises(SuiteError) as raised:
        check_safe(suite, suite.path.parent)
    return [str(error) for error in raised.value.errors]


PASSAGES = "user: '{{ passages }}'"
VARIANTS = {
    "provider: python, function: 'm:f'": "function: m:f is Python",
    f"{HOSTED}, tools: ['m:f']": "tools: m:f is Python",
    f"{HOSTED}, retrieve: 'm:f', {PASSAGES}": "retrieve: m:f is Python",
    "provider: house": "provider house is a plugin's",
    "provider: llamacpp, model: ../out.gguf": "model: ../out.gguf lies outside",
    "provider: llamacpp, model: /dev/zero": "model: /dev/zero lies outside",
}


def refused(message):
    return Like(f"s.ftgate.yaml:5: variant ...{message}...; --ftgate-safe does not allow it")


@every_row(("variant", "message"), VARIANTS.items())
def test_a_variant_names_no_code_no_plugin_and_no_weights_elsewhere(suite, variant, message):
    assert errors_of(suite(variant))[0] == refused(message)


def test_a_variant_has_no_adapter_elsewhere(suite):
    read = suite("provider: llamacpp, model: m.gguf")
    outside = read.path.parent.parent / "out.gguf"
    variants = {"current": replace(read.variants["current"], adapter=outside)}

    assert errors_of(replace(read, variants=variants))[0] == refused("out.gguf lies outside")


RULES = {
    "score: {python: 'm:f'}": "python: m:f is Python",
    "score: tone": "tone is a plugin's",
    "format: tidy": "tidy is a plugin's",
    "format: {pydantic: 'm:M'}": "pydantic: m:M is Python",
    "format: {python: 'm:f'}": "python: m:f is Python",
    "score: {code: {sandbox: none}}": "sandbox: none lets replies do all that you may",
    "score: [{exact: {}}, {python: 'm:f'}]": "python: m:f is Python",
}


@every_row(("rule", "message"), RULES.items())
def test_a_rule_runs_no_code_outside_the_sandbox(suite, rule, message):
    assert any(message in error for error in errors_of(suite(reply=rule)))
    assert any(message in error for error in errors_of(suite(case=f", {rule}")))


def test_a_judge_is_held_to_the_same(suite):
    assert "function: m:f is Python" in errors_of(suite(reply=JUDGE))[0]


def test_a_suite_without_code_is_allowed(suite):
    check_safe(suite(), suite().path.parent)
    check_safe(suite("provider: llamacpp, model: m.gguf"), suite().path.parent)
    check_safe(suite("provider: llamacpp, model: smollm2-135m"), suite().path.parent)
    check_safe(suite(reply="score: code"), suite().path.parent)


def test_a_suite_may_not_be_huge(suite, monkeypatch):
    huge = replace(suite(), repeats=101)
    assert errors_of(huge) == ["s.ftgate.yaml: 101 repeats; --ftgate-safe allows 100"]

    monkeypatch.setattr(safe_mode, "MAX_CASES", 0)
    monkeypatch.setattr(safe_mode, "MAX_REPLIES", 0)
    assert errors_of(suite()) == [
        "s.ftgate.yaml: 1 cases; --ftgate-safe allows 0",
        "s.ftgate.yaml: 1 replies; --ftgate-safe allows 0",
    ]


# Sizes, looked at before and while files are read -------------------------------------------------

NAMED = """\
prompt: p.md
cases: {cases}
variants: {{current: {{provider: recorded, replies: r.jsonl}}}}
gates: {{accuracy: {{min: 0.1}}}}
"""
MB = 1_000_000
CASE = '{{"id": "c{0}", "input": "q {0}", "expected": "x"}}\n'
ALLOWS = "--ftgate-safe allows"


def load_named(folder, cases="c.jsonl", sizes=(), *, safe=True):
    """Load a suite of files, and return its errors; *sizes* are those of files, by name."""
    (folder / "p.md").write_text("{{ input }}", "utf-8")
    (folder / "r.jsonl").write_text('{"id": "c1", "text": "x"}\n', "utf-8")
    if not (folder / "c.jsonl").exists():
        (folder / "c.jsonl").write_text("".join(map(CASE.format, range(3))), "utf-8")
    path = folder / "s.ftgate.yaml"
    path.write_text(NAMED.format(cases=cases), "utf-8")
    for name, size in dict(sizes).items():
        with (folder / name).open("ab") as file:
            file.truncate(size)
    try:
        check_safe(load_suite(path, folder, safe=safe), folder)
    except SuiteError as error:
        return [str(one) for one in error.errors]
    return []


#: The sizes of files, and what is told.
SIZES = [
    ({"c.jsonl": 65 * MB}, [f"s.ftgate.yaml:2: cases: c.jsonl has 65 MB; {ALLOWS} 64 MB"]),
    ({"p.md": 65 * MB}, [f"s.ftgate.yaml:1: prompt: p.md has 65 MB; {ALLOWS} 64 MB"]),
    (
        {"r.jsonl": 3_000 * MB},
        [f's.ftgate.yaml:3: variant "current": replies: r.jsonl has 3,000 MB; {ALLOWS} 64 MB'],
    ),
    ({"s.ftgate.yaml": 5 * MB}, [f"s.ftgate.yaml: has 5 MB; {ALLOWS} 4 MB"]),
    ({"s.accepted.json": 65 * MB}, [f"s.accepted.json: has 65 MB; {ALLOWS} 64 MB"]),
    ({"s.replies.jsonl": 65 * MB}, [f"s.replies.jsonl: has 65 MB; {ALLOWS} 64 MB"]),
]


@every_row(("sizes", "told"), SIZES)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path, sizes, told):
    assert [one for one in load_named(tmp_path, sizes=sizes) if ALLOWS in one] == told


def test_files_are_refused_that_are_too_large_together(tmp_path):
    sizes = {f"{n}.jsonl": 60 * MB for n in range(5)}
    assert load_named(tmp_path, "'[0-9].jsonl'", sizes) == [
        f"s.ftgate.yaml:2: cases: 0.jsonl has 300 MB with the other files; {ALLOWS} 256 MB"
    ]


MORE = "21: more than 20 cases; --ftgate-safe allows 20"


@every_row(
    ("name", "line", "told"),
    [
        ("c.jsonl", CASE, f"c.jsonl:{MORE}"),
        ("c.json", CASE.rstrip() + ",\n", f"c.json:{MORE}"),
        ("c.csv", "c{0},q {0},x\n", "c.csv:22: more than 20 cases; --ftgate-safe allows 20"),
        # Where no row is one, so many errors are enough.
        ("c.jsonl", "no JSON\n", "...(and 18 more lines like it)"),
        ("c.csv", "{0},x,y,more\n", "...(and 18 more lines like it)"),
    ],
)
def test_counting_stops_at_the_most_cases(tmp_path, monkeypatch, name, line, told):
    monkeypatch.setattr(safe_mode, "SAFE_LIMITS", replace(safe_mode.SAFE_LIMITS, cases=20))
    head = {"c.csv": "id,input,expected\n", "c.json": "["}.get(name, "")
    (tmp_path / name).write_text(head + "".join(map(line.format, range(1_000))), "utf-8")

    assert Like(told) in load_named(tmp_path, name)


def test_without_safe_mode_no_size_is_looked_at(tmp_path):
    assert load_named(tmp_path, sizes={"r.jsonl": 65 * MB}, safe=False) == []
