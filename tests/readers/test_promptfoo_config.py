"""Configurations of promptfoo, read as suites."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.readers.datasets import read_import
from pytest_ftgate.readers.imported_files import filled


def read(folder, config, **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, "utf-8")
    path = folder / "promptfooconfig.yaml"
    path.write_text(config, "utf-8")
    return read_import(path)


def test_prompts_are_texts_files_and_conversations(tmp_path):
    suite = read(
        tmp_path,
        "prompts: ['Sort {{x | dump}}', 'file://two.txt', {label: Chat, raw: '[{\"role\": "
        '"system", "content": "S"}, {"role": "user", "content": "U {{x}}"}]\'}, file://p.js]\n'
        "tests: [{vars: {x: 1}}]\n",
        two_txt="first {{x}}\n---\nsecond {{x}}\n",
    )

    assert [(one.name, one.system, one.user, one.unread) for one in suite.prompts] == [
        ("prompt-1", "", "Sort {{x | tojson}}", ""),
        ("two", "", "first {{x}}", ""),
        ("two-2", "", "second {{x}}", ""),
        ("Chat", "S", "U {{x}}", ""),
        ("prompt-4", "", "", "file://p.js, a function"),
    ]


def test_a_conversation_in_yaml_is_read_and_one_that_a_template_makes_is_named(tmp_path):
    suite = read(
        tmp_path,
        'prompts: [{label: a, raw: "- role: system\\n  content: S\\n- role: user\\n  content: U"},'
        ' {label: b, raw: \'[{"role": "user", "content": {{x | dump}}}]\'}]\n'
        "tests: [{vars: {x: 1}}]\n",
    )

    assert [(one.name, one.system, one.user, one.unread) for one in suite.prompts] == [
        ("a", "S", "U", ""),
        ("b", "", "", "b, whose turns a template makes"),
    ]


def test_tests_take_over_the_default_and_lists_of_values_are_cases_each(tmp_path):
    suite = read(
        tmp_path,
        "defaultTest: {vars: {tone: kind}, assert: [{type: not-contains, value: sorry}]}\n"
        "tests:\n- {vars: {x: [a, b]}, assert: [{type: equals, value: '{{x}}!'}]}\n",
    )

    assert [case["vars"] for case in suite.cases] == [
        {"tone": "kind", "x": "a"},
        {"tone": "kind", "x": "b"},
    ]
    assert [case["expected"] for case in suite.cases] == ["a!", "b!"]
    avoids = {"avoids": {"texts": ["sorry"], "whole_words": False, "case": True}}
    assert all(case["score"] == {"all": [avoids, "exact"]} for case in suite.cases)


@every_row("tests, files", [
    ("file://t.csv", {"t_csv": "x,__expected,__description\n1,contains: one,Case one\n"}),
    ("t.yaml", {"t_yaml": "- {vars: {x: '1'}, description: Case one,\n"
      "   assert: [{type: contains, value: one}]}\n"}),
    (("[{vars: file://v.yaml, description: Case one, assert: [{$ref: '#/x/one'}]}]\n"
      "assertionTemplates: {one: {type: contains, value: one}}"), {"v_yaml": "x: '1'\n"}),
])  # fmt: skip
def test_tests_are_read_from_files(tmp_path, tests, files):
    suite = read(tmp_path, f"prompts: ['{{{{x}}}}']\ntests: {tests}\n", **files)

    assert suite.cases == [
        {
            "id": "Case-one",
            "input": "1",
            "vars": {"x": "1"},
            "score": {"contains": {"whole_words": False, "case": True}},
            "expected": "one",
        }
    ]


def test_scenarios_are_crossed_with_their_tests(tmp_path):
    suite = read(
        tmp_path,
        "scenarios:\n- config: [{vars: {a: 1}}, {vars: {a: 2}}]\n"
        "  tests: [{vars: {b: 3}}, {vars: {b: 4}}]\n",
    )

    assert [case["vars"] for case in suite.cases] == [
        {"a": a, "b": b} for a in (1, 2) for b in (3, 4)
    ]


def test_rubrics_that_differ_are_a_variable_of_their_cases(tmp_path):
    suite = read(
        tmp_path,
        "tests:\n- {vars: {x: a}, assert: [{type: llm-rubric, value: Kind}]}\n"
        "- {vars: {x: b}, assert: [{type: llm-rubric, value: Short, provider: 'openai:gpt-4o'}]}\n",
    )

    assert suite.rubric == "{{ rubric }}"
    assert [case["vars"]["rubric"] for case in suite.cases] == ["Kind", "Short"]
    assert suite.judge.id == "openai:gpt-4o"


def test_a_file_outside_the_folder_is_not_read(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    (tmp_path / "secret.txt").write_text("secret", "utf-8")

    suite = read(inner, "tests: [{vars: {x: 'file://../secret.txt'}}, {vars: {x: a}}]\n")

    assert [case["input"] for case in suite.cases] == ["a"]
    assert any("outside the folder" in note for note in suite.notes)


def test_tests_at_an_absolute_path_are_named_with_what_to_do(tmp_path):
    tests = "[/data/more.csv, 'file:///data/*.yaml', {vars: {x: a}}]"

    suite = read(tmp_path, f"tests: {tests}\n")

    assert [case["input"] for case in suite.cases] == ["a"]
    assert [note for note in suite.notes if "copy the file beside this one" in note] == [
        "tests of /data/more.csv: copy the file beside this one, and name it there",
        "tests of /data/*.yaml: copy the file beside this one, and name it there",
    ]


def test_a_file_elsewhere_in_the_repository_is_read(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("secret", "utf-8")
    (tmp_path / "shared.sql").write_text("SELECT 1", "utf-8")
    inner = tmp_path / "evals"
    inner.mkdir()

    suite = read(
        inner, "tests: [{vars: {x: 'file://../shared.sql'}}, {vars: {x: 'file://../.git/config'}}]"
    )

    assert [case["input"] for case in suite.cases] == ["SELECT 1"]


def test_a_file_is_text_by_its_bytes_and_each_file_of_a_glob_is_a_case(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\xff\xd8\x00")
    (tmp_path / "program.py").write_text("1 / 0", "utf-8")
    (tmp_path / "articles").mkdir()
    for name in ("one.sql", "two"):
        (tmp_path / "articles" / name).write_text(name, "utf-8")

    suite = read(
        tmp_path,
        "prompts: file://articles/*\ntests:\n"
        "- {vars: {x: 'file://articles/*'}}\n- {vars: {x: 'file://a.bin'}}\n"
        "- {vars: {x: 'file://program.py'}}\n",
    )

    assert [case["input"] for case in suite.cases] == ["one.sql", "two"]
    assert [prompt.user for prompt in suite.prompts] == ["one.sql", "two"]
    assert [note for note in suite.notes if "cannot be read" in note] == [
        "a test whose variable cannot be read: a.bin is not text in UTF-8",
        "a test whose variable cannot be read: file://program.py is a program, which is not run",
    ]


def test_a_test_whose_assertions_are_all_left_out_stays_unscored_beside_a_judge(tmp_path):
    suite = read(
        tmp_path,
        "tests:\n- {vars: {x: a}, assert: [{type: llm-rubric, value: Kind}]}\n"
        "- {vars: {x: b}, assert: [{type: select-best, value: short}]}\n- {vars: {x: c}}\n",
    )

    assert suite.rubric == "Kind"
    assert [case.get("score") for case in suite.cases] == [None, "exact", "exact"]
    assert "a test without an assertion that could be carried over: not scored" in suite.notes


@every_row("value", ["{{ 'a' * 10 ** 9 }}", "{{ 'a' | center(999999999) }}", "{{ ''.__class__ }}"])
def test_an_expression_that_could_fill_the_memory_stays_as_it_is(value):
    assert filled(value, {}) == value


def test_variables_name_each_other_and_assertions_compute_with_them(tmp_path):
    suite = read(
        tmp_path,
        "tests: [{vars: {a: Bonn, b: 'in {{ a }}'}, "
        "assert: [{type: contains, value: '{{ b | upper }}'}]}]",
    )

    assert suite.cases[0]["vars"] == {"a": "Bonn", "b": "in Bonn"}
    assert suite.cases[0]["expected"] == "IN BONN"


@every_row("written", [
    "https://user:hunter2@api.example.com/v1?key=hunter2#hunter2",
    "{id: 'https://user:hunter2@api.example.com/v1?key=hunter2'}",
    "{'https://user:hunter2@api.example.com/v1?key=hunter2': {prompts: [a]}}",
])  # fmt: skip
def test_an_address_loses_its_password_and_its_key(tmp_path, written):
    suite = read(tmp_path, f"providers: [{written}]\ntests: [{{vars: {{x: a}}}}]")

    assert suite.models[0].name == "https://api.example.com/v1"
    assert "hunter2" not in repr(suite)


def test_what_decides_a_test_in_another_way_is_named(tmp_path):
    suite = read(
        tmp_path,
        "tests: [{vars: {x: a}, prompts: [one], assertScoringFunction: file://s.js, "
        "assert: {type: equals, value: a}, options: {postprocess: output.b}}, {assert: 5}]",
    )

    assert {"prompts of a test", "assertScoringFunction of a test", '"5", which is no mapping'} <= {
        *suite.notes
    }
    assert "output.b" in suite.cases[0]["score"]["all"][0]["javascript"]["code"]
