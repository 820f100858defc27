"""Safe mode: the suite of a stranger names no code, no plugin and no file elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.suite_files import Like, write_files
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


#: Files below the root, and links with what they lead to.
FILES = {
    **dict.fromkeys(
        ("m.gguf", "split-00001-of-00002.gguf", "hidden/w", "peft/w", "../out.gguf"), ""
    ),
    "peft/adapter_config.json": '{"base_model_name_or_path": "../../elsewhere"}',
    "peft/a.gguf": "GGUF",
    "described/a.gguf": "GGUF",
    "../elsewhere/config.json": "{}",
    **dict.fromkeys(
        (".git/config", ".env", ".github/prompts/p.md", "p.md", ".own/q.md"), "Answer."
    ),
}
LINKS = {
    "away.gguf": "../out.gguf",
    "split-00002-of-00002.gguf": "../out.gguf",
    "hidden/w.safetensors": "../../out.gguf",
    "link.md": ".env",
    "loop.md": "loop.md",
    "described/chat_template.jinja": "../../out.gguf",
}


@pytest.fixture
def suite(tmp_path):
    root = tmp_path / "root"
    write_files(root, FILES)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)

    def read(variant=HOSTED, reply="score: exact", case="", more="", *, safe=True):
        text = more + SUITE.format(variant=variant, reply=reply, case=case)
        write_files(root, {"s.ftgate.yaml": text})
        return load_suite(root / "s.ftgate.yaml", root, PLUGINS, safe=safe)

    return read


def errors_of(suite):
    with pytest.raises(SuiteError) as raised:
        check_safe(suite, suite.path.parent)
    return [str(error) for error in raised.value.errors]


PASSAGES = "user: '{{ passages }}'"
VARIANTS = {
    "provider: command, command: {run: [python3]}": "command: it runs a program",
    "provider: python, function: 'm:f'": "function: m:f is Python",
    f"{HOSTED}, tools: ['m:f']": "tools: m:f is Python",
    f"{HOSTED}, retrieve: 'm:f', {PASSAGES}": "retrieve: m:f is Python",
    "provider: house": "provider house is a plugin's",
    "provider: llamacpp, model: ../out.gguf": "model: ../out.gguf lies outside",
    "provider: llamacpp, model: /dev/zero": "model: /dev/zero lies outside",
    "provider: llamacpp, model: away.gguf": "model: away.gguf lies outside",
    "provider: llamacpp, model: '~no-such-user/m.gguf'": "/m.gguf is no file and no folder",
    "provider: llamacpp, model: split-00001-of-00002.gguf": "split-00002-of-00002.gguf leads outsi",
    'provider: llamacpp, model: "m\\0.gguf"': "is no file and no folder below",
    "provider: transformers, model: org/name": "model: org/name is no file and no folder below",
    "provider: transformers, model: hidden": "model: hidden: w.safetensors leads outside",
    f"{HOSTED}, base_url_env: SLACK": "base_url_env: SLACK is no address that ftgate_keys names",
    f"{HOSTED}, base: {{base_url_env: SLACK, model: n}}": "base_url_env: SLACK is no address",
}


def refused(message):
    return Like(f"s.ftgate.yaml:5: variant ...{message}...; --ftgate-safe does not allow it")


@every_row(("variant", "message"), VARIANTS.items())
def test_a_variant_names_no_code_no_plugin_and_no_weights_elsewhere(suite, variant, message):
    assert errors_of(suite(variant))[0] == refused(message)


ADAPTERS = {
    "../out.gguf": "out.gguf lies outside",
    "hidden": "hidden: w.safetensors leads outside",
    "peft": "adapter: peft: base_model_name_or_path lies outside",
    "peft/a.gguf": "adapter: a.gguf: base_model_name_or_path lies outside",
    "described/a.gguf": "a.gguf: chat_template.jinja leads outside",
}


@every_row(("adapter", "message"), ADAPTERS.items())
def test_a_variant_has_no_adapter_elsewhere(suite, adapter, message):
    read = suite("provider: llamacpp, model: m.gguf")
    path = read.path.parent / adapter
    variants = {"current": replace(read.variants["current"], adapter=path)}

    assert errors_of(replace(read, variants=variants))[0] == refused(message)


def test_an_address_is_in_a_variable_that_the_configuration_names(suite):
    read = suite(f"{HOSTED}, base_url_env: SLACK")

    check_safe(read, read.path.parent, {"SLACK"})
    assert len(errors_of(read)) == 1


HIDDEN = [
    ("prompt: .git/config", ".git/config lies in .git; move it to another folder", [True, False]),
    ("prompt: .env", ".env lies in .env; move it to another folder", [True]),
    ("prompt: link.md", "link.md lies in .env; move it to another folder", [True]),
    ("prompt: loop.md", "loop.md does not exist (looked in ", [True, False]),
    ('prompt: "a\\0b.md"', "does not exist (looked in ", [True, False]),
    ("prompt: .github/prompts/p.md", "", []),
    ("prompt: p.md", "", []),
]


@every_row(("more", "message", "refused_in"), HIDDEN)
def test_a_suite_reads_no_hidden_file_and_none_of_git_without_safe_mode_either(
    suite, more, message, refused_in
):
    for safe in (True, False):
        if safe not in refused_in:
            suite(more=f"{more}\n", safe=safe)
            continue
        with pytest.raises(SuiteError) as raised:
            suite(more=f"{more}\n", safe=safe)
        assert str(raised.value.errors[0]) == Like(f"s.ftgate.yaml:1: ...{message}...")


def test_a_pattern_finds_no_hidden_files(suite):
    retrieve = "retrieve: {from: '.*/**/*'}, user: '{{ passages }} {{ input }}'"

    for safe, names in ((True, {"p.md"}), (False, {"p.md", "q.md"})):
        paths = suite(f"{HOSTED}, {retrieve}", safe=safe).variants["current"].retrieve.paths
        assert {path.name for path in paths} == names


def test_what_lies_beside_a_suite_and_the_suite_itself_lead_nowhere_else(suite, tmp_path):
    read, root = suite(), tmp_path / "root"
    for kind in ("accepted.json", "replies.jsonl"):
        (root / f"s.{kind}").symlink_to(tmp_path / "elsewhere" / "config.json")
    assert errors_of(read) == [
        Like("s.ftgate.yaml: s.accepted.json leads outside ...; --ftgate-safe does not allow it"),
        Like("s.ftgate.yaml: s.replies.jsonl leads outside ...; --ftgate-safe does not allow it"),
    ]

    (root / "t.ftgate.yaml").symlink_to(tmp_path / "elsewhere" / "config.json")
    with pytest.raises(
        SuiteError, match=r"t\.ftgate\.yaml: it lies outside .*; --ftgate-safe does"
    ):
        load_suite(root / "t.ftgate.yaml", root, safe=True)


def test_the_suite_and_what_lies_beside_it_lead_into_no_hidden_file(suite, tmp_path):
    read, root = suite(), tmp_path / "root"
    (root / "s.accepted.json").symlink_to(".env")
    assert errors_of(read) == [
        "s.ftgate.yaml: s.accepted.json leads into .env; --ftgate-safe does not allow it"
    ]

    for target, refused_in in ((".env", [True]), (".git/config", [True, False])):
        path = root / f"{target[1:4]}.ftgate.yaml"
        path.symlink_to(target)
        for safe in (True, False):
            with pytest.raises(SuiteError) as raised:
                load_suite(path, root, safe=safe)
            told = f"{path.name}: it lies in {target.partition('/')[0]}; move it to another folder"
            assert (str(raised.value.errors[0]) == told) == (safe in refused_in)


@every_row(
    ("target", "message"),
    [
        ("../../elsewhere/config.json", "samples_t.jsonl leads outside"),
        ("../.git/config", "samples_t.jsonl leads into .git; move it to another folder"),
        ("../p.md", ""),
    ],
)
def test_a_folder_of_replies_has_no_link_elsewhere(suite, target, message):
    logs = suite().path.parent / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "samples_t.jsonl").unlink(missing_ok=True)
    (logs / "samples_t.jsonl").symlink_to(target)
    (logs / "python").unlink(missing_ok=True)
    (logs / "python").symlink_to("/dev/null")  # As environments have, and no log.
    variant = "provider: recorded, replies: logs"
    for safe in (True, False):
        if not message:
            assert suite(variant, safe=safe)
            continue
        with pytest.raises(SuiteError) as raised:
            suite(variant, safe=safe)
        assert f'variant "current": replies: logs: {message}' in str(raised.value.errors[0])


def test_an_adapter_of_a_stranger_is_not_looked_at_elsewhere(suite):
    variant = "provider: llamacpp, model: m.gguf, adapter: ../elsewhere"
    for safe, message in ((True, "../elsewhere lies outside "), (False, "../elsewhere has no ")):
        with pytest.raises(SuiteError) as raised:
            suite(variant, safe=safe)
        assert [message in str(error) for error in raised.value.errors] == [True]


RULES = {
    "score: {python: 'm:f'}": "python: m:f is Python",
    "score: tone": "tone is a plugin's",
    "format: tidy": "tidy is a plugin's",
    "format: {pydantic: 'm:M'}": "pydantic: m:M is Python",
    "format: {python: 'm:f'}": "python: m:f is Python",
    "score: {code: {sandbox: none}}": "sandbox: none lets replies do all that you may",
    "score: [{exact: {}}, {python: 'm:f'}]": "python: m:f is Python",
    "score: {all: [{all: [{python: 'm:f'}]}]}": "python: m:f is Python",
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
    files = {"p.md": "{{ input }}", "r.jsonl": '{"id": "c1", "text": "x"}\n'}
    if not (folder / "c.jsonl").exists():
        files["c.jsonl"] = "".join(map(CASE.format, range(3)))
    write_files(folder, {**files, "s.ftgate.yaml": NAMED.format(cases=cases)})
    for name, size in dict(sizes).items():
        with (folder / name).open("ab") as file:
            file.truncate(size)
    try:
        check_safe(load_suite(folder / "s.ftgate.yaml", folder, safe=safe), folder)
    except SuiteError as error:
        return [str(one) for one in error.errors]
    return []


#: The sizes of files, and what is told.
SIZES = [
    ({"c.jsonl": 65 * MB}, [f"s.ftgate.yaml:2: cases: c.jsonl has 65 MB; {ALLOWS} 64 MB"]),
    ({"p.md": 65 * MB}, [f"s.ftgate.yaml:1: prompt: p.md has 65 MB; {ALLOWS} 64 MB"]),
    ({"r.jsonl": 3_000 * MB},
     [f's.ftgate.yaml:3: variant "current": replies: r.jsonl has 3,000 MB; {ALLOWS} 64 MB']),
    ({"s.ftgate.yaml": 5 * MB}, [f"s.ftgate.yaml: has 5 MB; {ALLOWS} 4 MB"]),
    ({"s.accepted.json": 65 * MB}, [f"s.accepted.json: has 65 MB; {ALLOWS} 64 MB"]),
    ({"s.replies.jsonl": 65 * MB}, [f"s.replies.jsonl: has 65 MB; {ALLOWS} 64 MB"]),
]  # fmt: skip


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
