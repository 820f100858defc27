"""From a suite file to a Suite: what is read, what is refused, and what is never hidden."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite

CASES = "[{input: a, expected: b}]"
CLAUDE = "{current: {provider: anthropic, model: m}}"
FLOOR = "{accuracy: {min: 0.5}}"


def suite(cases=CASES, variants=CLAUDE, gates=FLOOR, more=""):
    return f"cases: {cases}\nvariants: {variants}\ngates: {gates}\n{more}"


def loaded(folder, text):
    path = folder / "s.ftgate.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, folder)


def errors(folder, text):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, text)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


# What is read --------------------------------------------------------------------------------


def test_an_empty_threshold_or_cost_stands_for_its_default(tmp_path):
    tuned = "{provider: anthropic, model: t, base: m}"
    variants = f"{{current: {{provider: anthropic, model: m}}, tuned: {tuned}}}"
    costs = "{calls_per_day: 5, training_usd: 7, variants: {tuned: {training_usd: }}}"

    found = loaded(
        tmp_path,
        suite(
            variants=variants, more=f"ladder: {{worth: , most_changes: 3}}\neconomics: {costs}\n"
        ),
    )

    assert (found.ladder.worth, found.ladder.most_changes) == (0.05, 3)
    assert found.economics.variants["tuned"].training_usd == 7
    assert found.economics.variants["current"].training_usd == 0


def test_a_cost_of_zero_replaces_that_of_all_variants(tmp_path):
    tuned = "{current: {provider: anthropic, model: t, base: m}}"
    costs = "{calls_per_day: 5, training_usd: 7, variants: {current: {training_usd: 0}}}"

    found = loaded(tmp_path, suite(variants=tuned, more=f"economics: {costs}\n"))

    assert found.economics.variants["current"].training_usd == 0


def test_the_smallest_suite_has_its_defaults(tmp_path):
    found = loaded(tmp_path, suite())

    assert (found.name, found.baseline, found.repeats) == ("s.ftgate.yaml", "current", 1)
    assert (found.reply.score.kind, found.reply.format, found.reply.max_tokens) == (
        "exact",
        (),
        1024,
    )
    assert found.accepted_path == found.path.with_name("s.accepted.json")


@every_row(
    ("written", "marks"),
    [
        ('"<a>…</a>"', (("<a>", "</a>"),)),
        ('"[A] ... [/A]"', (("[A]", "[/A]"),)),
        ("false", ()),
        ("true", None),
        ("", None),
    ],
)
def test_a_suite_declares_the_marks_around_a_thought(tmp_path, written, marks):
    found = loaded(tmp_path, suite(more=f"reply: {{thoughts: {written}}}\n"))

    assert found.reply.thoughts == marks


@every_row("written", ['"<think>"', '"…</think>"'])
def test_one_mark_alone_is_no_thought(tmp_path, written):
    (message,) = errors(tmp_path, suite(more=f"reply: {{thoughts: {written}}}\n"))

    assert 'thoughts: write the two marks around a thought, such as "<think>…</think>"' in message


def test_labels_make_choice_the_usual_score(tmp_path):
    found = loaded(tmp_path, suite(more="reply: {format: {choice: [a, b]}}\n"))

    assert found.reply.score.kind == "choice"


def test_the_keys_that_a_step_may_advise_to_edit_have_their_places(tmp_path):
    text = """\
cases: [{input: a, expected: b}]
baseline: current
variants:
  current: {provider: anthropic, model: m}
  draft:
    provider: anthropic
    model: m
    max_tokens: 9
gates:
  accuracy:
    min: 0.5
    max_drop: 0.1
ladder: {worth: 0.1}
"""

    places = loaded(tmp_path, text).places

    wanted = {
        "baseline": 2, "variants": 3, "variants.current": 4, "variants.draft": 5,
        "variants.draft.max_tokens": 8, "gates.accuracy": 10, "gates.accuracy.min": 11,
        "gates.accuracy.max_drop": 12, "ladder": 13,
    }  # fmt: skip
    assert {key: places[key] for key in wanted} == {
        key: f"s.ftgate.yaml:{line}" for key, line in wanted.items()
    }
    assert "cases" not in places


def test_a_key_that_is_not_written_has_no_place(tmp_path):
    places = loaded(tmp_path, suite()).places

    assert not {"baseline", "ladder", "gates.accuracy.max_drop"} & {*places}


def test_the_first_variant_is_the_baseline_unless_another_is_named(tmp_path):
    variants = "{a: {provider: anthropic, model: m}, b: {like: a}}"

    assert loaded(tmp_path, suite(variants=variants)).baseline == "a"
    assert loaded(tmp_path, suite(variants=variants, more="baseline: b\n")).baseline == "b"


@every_row(
    ("gates", "kind", "least", "drop"),
    [
        ("{accuracy: {}}", "accuracy", None, None),
        ("{accuracy: {min: 0.5}}", "accuracy", 0.5, None),
        ("{accuracy: {max_drop: 0.1}}", "accuracy", None, 0.1),
        ("{accuracy: {min: 0.5, max_drop: 0.1}}", "accuracy", 0.5, 0.1),
        ("{accuracy: }", "accuracy", None, None),
    ],
)
def test_a_rate_gate_without_a_largest_drop_limits_one_that_its_cases_decide(
    tmp_path, gates, kind, least, drop
):
    gate = loaded(tmp_path, suite(gates=gates)).gates[kind]

    assert (gate.min, gate.max_drop) == (least, drop)
    assert gate.limits_drop


def test_the_forgetting_gate_holds_the_cases_of_its_skills(tmp_path):
    gates = "{accuracy: {min: 0.5}, forgetting: {skills: [logic, reading], max_drop: 0.2}}"
    variants = "{a: {provider: anthropic, model: n, base: m}}"
    gate = loaded(tmp_path, suite(variants=variants, gates=gates)).gates["forgetting"]

    assert {case.skill for case in gate.cases} == {"logic", "reading"}
    assert gate.max_drop == 0.2


@every_row(
    ("variants", "message"),
    [
        ("{a: {provider: anthropic, model: m}}", "forgetting: no gated variant is tuned"),
        ("{a: {provider: anthropic, model: m, gated: false}}", "variants: all are gated: false"),
    ],
)
def test_a_gate_that_would_evaluate_no_variant_is_refused(tmp_path, variants, message):
    text = suite(variants=variants, gates="{forgetting: {skills: logic}}")

    with pytest.raises(SuiteError, match=message):
        loaded(tmp_path, text)


def test_forgetting_evaluates_only_tuned_and_gated_variants(tmp_path):
    variants = (
        "{a: {provider: anthropic, model: m}, b: {like: a, model: n, base: m}, "
        "c: {like: b, gated: false}}"
    )
    gates = "{accuracy: {min: 0.5}, forgetting: {skills: logic}}"
    found = loaded(tmp_path, suite(variants=variants, gates=gates))
    evaluated = {name: [g.kind for g in found.gates_for(v)] for name, v in found.variants.items()}

    assert evaluated == {"a": ["accuracy"], "b": ["accuracy", "forgetting"], "c": []}


def test_accuracy_needs_nothing_expected_where_a_function_scores_the_reply(tmp_path):
    text = suite(cases="[{input: a}]", more='reply: {score: {python: "marks:close"}}\n')

    assert loaded(tmp_path, text).gates["accuracy"].min == 0.5


# Keys ----------------------------------------------------------------------------------------

#: What is near to nothing that is known, or stands in the wrong place, or cannot be used.
MISTAKES = [
    (suite(more="promt: p.md\n"), '4: unknown key "promt"; did you mean "prompt"?'),
    (suite(gates="{acuracy: {min: 0.5}}"), '3: unknown key "acuracy"; did you mean "accuracy"?'),
    (suite(gates="{accuracy: {mn: 0.5}}"), '3: unknown key "mn"; did you mean "min"?'),
    (
        suite(variants="{current: {provider: anthropic, modell: m, model: m}}"),
        '2: variant "current": unknown key "modell"; did you mean "model"?',
    ),
    (suite(more="reply: {scor: exact}\n"), '4: unknown key "scor"; did you mean "score"?'),
    (
        suite(more="baseline: curent\n"),
        '4: baseline "curent" is no variant; did you mean "current"?',
    ),
    (
        suite(gates="{forgetting: {skills: [logic, arithmatic]}}"),
        '3: forgetting: no skill "arithmatic"; did you mean "arithmetic"?',
    ),
    (
        suite(gates="{forgetting: {skills: [general, arithmatic]}}"),
        '3: forgetting: no skill "arithmatic"; did you mean "arithmetic"?',
    ),
    (suite(more='user: "{{ inptu }}"\n'), '4: user: no case has "inptu"; did you mean "input"?'),
    (
        suite(more="score: exact\n"),
        '4: unknown key "score"; it belongs under reply, as reply: {score: …}',
    ),
    (
        suite(more="format: json\n"),
        '4: unknown key "format"; it belongs under reply, as reply: {format: …}',
    ),
    (
        suite(more="model: m\n"),
        '4: unknown key "model"; it belongs to a variant, as variants: {NAME: {model: …}}',
    ),
    (suite(more="economics: {calls_per_day: }\n"), "4: calls_per_day must be a number, not empty"),
    (suite(cases="5"), "1: cases must be a list, not 5"),
    (suite(cases="{a: 1}"), "1: cases must be a list, not a mapping"),
    (suite(cases=""), "1: cases must be a list, not empty"),
    (suite(variants="[]"), "2: variants must be a mapping of keys to values, not a list"),
    (
        suite(variants="{}"),
        "2: variants: none declared; write current: {provider: anthropic, model: ...}",
    ),
    (suite(variants="{a: }"), "2: a must be a mapping of keys to values, not empty"),
    (suite(gates="{}"), "3: gates: none declared; write accuracy: {min: 0.8}"),
    (
        suite(gates="{accuracy: {min: 85}}"),
        "3: min is 85, but must be less than or equal to 1; for 85 % write 0.85",
    ),
    (suite(gates="{accuracy: {max_drop: 0}}"), "3: max_drop is 0, but must be greater than 0"),
    (suite(gates="{accuracy: {min: high}}"), '3: min must be a number, not "high"'),
    (suite(gates="{forgetting: {skills: 5}}"), "3: skills must be a list, not 5"),
    (
        suite(gates="{forgetting: {skills: []}}"),
        "3: forgetting: skills: the list is empty; write skills: general",
    ),
    (suite(gates="{format: {min: 0.5}}"), "3: format: the suite declares no reply.format"),
    (suite(cases="[{input: a}]"), '3: accuracy: no case has "expected"'),
    (suite(more="repeats: 0\n"), "4: repeats is 0, but must be greater than or equal to 1"),
    (suite(more="prompt: p.md\n"), "4: prompt: p.md does not exist (looked in ./)"),
    (
        suite(more='reply: {format: {regex: "("}}\n'),
        "4: regex: '(' is not a pattern: missing ) at position 1",
    ),
    (f"cases: {CASES}\nvariants: {CLAUDE}\n", '1: "gates" is missing'),
    ("- a\n- b\n", "1: a suite is a mapping of keys to values"),
    ("", " the file is empty"),
]


@every_row(("text", "message"), MISTAKES)
def test_a_mistake_is_one_error_with_what_to_write_and_causes_no_second_one(
    tmp_path, text, message
):
    assert errors(tmp_path, text) == [message]


def test_a_key_near_to_nothing_is_met_with_those_there_are(tmp_path):
    (found,) = errors(tmp_path, suite(more="zzz: 1\n"))

    assert found.startswith('4: unknown key "zzz"; known: prompt, user, cases, ')


def test_a_key_that_is_missing_hides_no_other_error(tmp_path):
    found = errors(tmp_path, suite(gates="{accuracy: {mn: 0.9}}").replace("cases:", "case:"))

    assert '"cases" is missing' in " ".join(found)
    assert any('unknown key "case"; did you mean "cases"?' in one for one in found)
    assert any('unknown key "mn"; did you mean "min"?' in one for one in found)


def test_a_misspelt_score_causes_no_error_in_a_case_that_fits_the_right_one(tmp_path):
    text = suite(cases="[{input: a, expected: 5}]", more="reply: {score: numerc}\n")
    (found,) = errors(tmp_path, text)

    assert found.startswith('4: unknown score "numerc"; did you mean "numeric"?')


def test_a_user_message_that_is_no_template_has_its_line(tmp_path):
    (found,) = errors(tmp_path, suite(more='user: "{{ input"\n'))

    assert found.startswith("4: user: not a template: ")


def test_a_trap_and_a_wrong_key_and_a_wrong_case_are_found_together(tmp_path):
    text = suite(
        cases="[{input: a, expcted: b}]",
        variants="{no: {provider: anthropic, model: m}}",
        more="promt: a\nrepeats: 1_0\n",
    )

    assert [found.split(":")[0] for found in errors(tmp_path, text)] == ["1", "2", "4", "5", "5"]


def test_an_error_in_the_prompt_is_reported_even_where_no_variant_can_be_used(tmp_path):
    (tmp_path / "p.md").write_text("{{ tone }}\n")
    found = errors(tmp_path, suite(variants="{a: {provider: nobody}}", more="prompt: p.md\n"))

    assert len(found) == 2
    assert any("p.md:1: no case has" in one for one in found)


# Files ---------------------------------------------------------------------------------------


@every_row(
    ("key", "more"),
    [
        ("cases", ""),
        ("prompt", "prompt: ../x.md\n"),
        ("json_schema", "reply: {format: {json_schema: ../x.md}}\n"),
    ],
)
def test_a_file_outside_the_root_is_refused_even_where_it_exists(tmp_path, key, more):
    root = tmp_path / "repo"
    root.mkdir()
    (tmp_path / "x.md").write_text("secret")
    text = suite(cases="../x.md" if key == "cases" else CASES, more=more)

    (found,) = errors(root, text)

    assert f"{key}: ../x.md lies outside {root.resolve()}; move it below" in found


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path):
    root = tmp_path / "repo"
    root.mkdir()
    (tmp_path / "x.md").write_text("secret")
    (root / "p.md").symlink_to(tmp_path / "x.md")

    assert "lies outside" in errors(root, suite(more="prompt: p.md\n"))[0]


def test_a_file_above_the_suite_and_below_the_root_may_be_named(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "p.md").write_text("Be kind\n")
    path = tmp_path / "prompts" / "s.ftgate.yaml"
    path.write_text(suite(more="prompt: ../p.md\n"))

    found = load_suite(path, tmp_path)

    assert found.variants["current"].system == "Be kind"
    assert found.name == "prompts/s.ftgate.yaml"


def test_a_suite_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="cannot be read: No such file"):
        load_suite(tmp_path / "none.ftgate.yaml", tmp_path)
