"""From a suite file to a Suite: what is read, what is refused, and what is never hidden."""

from __future__ import annotations

from operator import attrgetter

import pytest
from ftgate_testing.suite_files import Like, errors_of, load_text, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.settings import DOCS_URL
from pytest_ftgate.suite.loader import key_address, load_suite

CASES = "[{input: a, expected: b}]"
CLAUDE = "{current: {provider: anthropic, model: m}}"
TUNED = (
    "{current: {provider: anthropic, model: m}, tuned: {provider: anthropic, model: t, base: m}}"
)
FLOOR = "{accuracy: {min: 0.5}}"


def suite(cases=CASES, variants=CLAUDE, gates=FLOOR, more=""):
    return f"cases: {cases}\nvariants: {variants}\ngates: {gates}\n{more}\n"


def errors(folder, text, **more):
    return errors_of(load_text, folder, text, **more)


# What is read --------------------------------------------------------------------------------


def test_the_smallest_suite_has_its_defaults(tmp_path):
    found = load_text(tmp_path, suite())

    assert (found.name, found.baseline, found.repeats) == ("s.ftgate.yaml", "current", 1)
    reply = found.reply
    assert (reply.score.kind, reply.format, reply.max_tokens) == ("exact", (), 1024)
    assert found.accepted_path == found.path.with_name("s.accepted.json")


LADDER = "ladder: {local_only: true}"
COSTS = (
    "economics: {{calls_per_day: 5, training_usd: 7, variants: {{tuned: {{training_usd: {}}}}}}}"
)


@every_row(
    ("more", "path", "value"),
    [
        ("baseline: tuned", "baseline", "tuned"),
        ("repeats: auto", "repeats", None),
        # Labels make choice the usual score.
        ("reply: {format: {choice: [a, b]}}", "reply.score.kind", "choice"),
        ('reply: {thoughts: "<a>…</a>"}', "reply.thoughts", (("<a>", "</a>"),)),
        ('reply: {thoughts: "[A] ... [/A]"}', "reply.thoughts", (("[A]", "[/A]"),)),
        ("reply: {thoughts: false}", "reply.thoughts", ()),
        ("reply: {thoughts: true}", "reply.thoughts", None),
        # An empty threshold or cost stands for its default, and a cost of zero for none.
        ("reply: {thoughts: }", "reply.thoughts", None),
        (LADDER, "local_only", True),
    ],
)
def test_a_key_of_the_suite_is_read_as_it_is_written(tmp_path, more, path, value):
    assert attrgetter(path)(load_text(tmp_path, suite(variants=TUNED, more=more))) == value


@every_row(("written", "usd"), [("", 7), ("0", 0), ("3", 3)])
def test_a_variant_costs_in_training_what_is_written_for_it_or_for_all(tmp_path, written, usd):
    costs = load_text(
        tmp_path, suite(variants=TUNED, more=COSTS.format(written))
    ).economics.variants

    assert (costs["tuned"].training_usd, costs["current"].training_usd) == (usd, 0)


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
ladder: {}
"""
    wanted = {
        "baseline": 2, "variants": 3, "variants.current": 4, "variants.draft": 5,
        "variants.draft.max_tokens": 8, "gates.accuracy": 10, "gates.accuracy.min": 11,
        "gates.accuracy.max_drop": 12, "ladder": 13,
    }  # fmt: skip

    places = load_text(tmp_path, text).places

    assert {key: places[key] for key in wanted} == {
        key: f"s.ftgate.yaml:{line}" for key, line in wanted.items()
    }
    assert "cases" not in places
    # A key that is not written has none.
    assert not {"baseline", "ladder", "gates.accuracy.max_drop"} & {
        *load_text(tmp_path, suite()).places
    }


@every_row(
    ("gate", "least", "drop"),
    [
        ("{}", None, None),
        ("", None, None),
        ("{min: 0.5}", 0.5, None),
        ("{max_drop: 0.1}", None, 0.1),
    ],
)
def test_a_rate_gate_without_a_largest_drop_limits_one_that_its_cases_decide(
    tmp_path, gate, least, drop
):
    found = load_text(tmp_path, suite(gates=f"{{accuracy: {gate}}}")).gates["accuracy"]

    assert (found.min, found.max_drop, found.limits_drop) == (least, drop, True)


def test_forgetting_evaluates_only_tuned_and_gated_variants(tmp_path):
    variants = f"{TUNED[:-1]}, ungated: {{like: tuned, gated: false}}}}"
    gates = "{accuracy: {min: 0.5}, forgetting: {skills: logic}}"
    found = load_text(tmp_path, suite(variants=variants, gates=gates))
    evaluated = [[gate.kind for gate in found.gates_for(v)] for v in found.variants.values()]

    assert evaluated == [["accuracy"], ["accuracy", "forgetting"], []]


# What is refused -----------------------------------------------------------------------------

FORGETTING = "{{forgetting: {{skills: {}}}}}"
TAB = "found character that cannot start any token; the line begins with a tab: indent with spaces"
INTO_ONE = "…” into one, and its path here"
#: What is near to nothing that is known, or stands in the wrong place, or cannot be used.
MISTAKES = [
    (suite(more="zzz: 1"), '4: unknown key "zzz"; known: prompt, user, cases, ...'),
    (suite(gates="{acuracy: {min: 0.5}}"), '3: unknown key "acuracy"; did you mean "accuracy"?'),
    (suite(more="reply: {scor: exact}"), '4: unknown key "scor"; did you mean "score"?'),
    # It causes no error in a case that fits the right one.
    (suite(cases="[{input: a, expected: 5}]", more="reply: {score: numerc}"),
     '4: unknown score "numerc"; did you mean "numeric"?...'),
    (suite(more='user: "{{ inptu }}"'), '4: user: no case has "inptu"; did you mean "input"?'),
    (suite(more='user: "{{ input"'), "4: user: not a template: ..."),
    *(
        (suite(more=f"{key}: x"), f'4: unknown key "{key}"; it belongs {to}')
        for key, to in (
            ("score", "under reply, as reply: {score: …}"),
            ("format", "under reply, as reply: {format: …}"),
            ("model", "to a variant, as variants: {NAME: {model: …}}"),
        )
    ),
    (suite(more="system: p.md"),
     '4: unknown key "system"; the system prompt is a file: write prompt: FILE'),
    (suite(more="economics: {calls_per_day: }"), "4: calls_per_day must be a number, not empty"),
    (suite(cases="{a: 1}"), "1: cases must be a list, not a mapping"),
    (suite(cases=""), "1: cases must be a list, not empty"),
    (suite(cases="[]"), "1: cases: the list is empty"),
    (suite(cases="[{input: a}]"), '3: accuracy: no case has "expected"'),
    (suite(variants="[]"), "2: variants must be a mapping of keys to values, not a list"),
    (suite(variants="{}"),
     "2: variants: none declared; write current: {provider: anthropic, model: ...}"),
    (suite(gates="{}"), "3: gates: none declared; write accuracy: {min: 0.8}"),
    (suite(gates="{accuracy: {min: 85}}"),
     "3: min is 85, but must be less than or equal to 1; for 85 % write 0.85"),
    *(
        (suite(gates=f"{{accuracy: {{min: {written}}}}}"), f"3: min must be a number, not {told}")
        for written, told in (
            ("high", '"high"'),
            ("85%", '"85%"; for 85 % write 0.85'),
            ('"0.2"', '"0.2"; write 0.2 without quotes'),
        )
    ),
    (suite(gates="{accuracy: 0.2}"),
     "3: accuracy must be a mapping of keys to values, not 0.2; write accuracy: {min: 0.2}"),
    (suite(gates="{accuracy: {max_drop: 0}}"), "3: max_drop is 0, but must be greater than 0"),
    (suite(gates=FORGETTING.format("logic")), "3: forgetting: no gated variant is tuned..."),
    (suite(gates="{format: {min: 0.5}}"), "3: format: the suite declares no reply.format"),
    (suite(variants="{a: {provider: anthropic, model: m, gated: false}}"),
     "2: variants: all are gated: false..."),
    (suite(more="repeats: 0"), "4: repeats is 0, but must be greater than or equal to 1"),
    (suite(cases="[{input: a, expected: b, weight: .inf}]"),
     "1: in a case: weight is inf, but must be a finite number"),
    (suite(cases="[{input: a, expected: b, weight: 1.0e+300}]"),
     "1: in a case: weight is 1e+300, but must be less than or equal to 1000000000000"),
    (suite(gates="{latency: {max_p95_ms: .inf}}"),
     "3: max_p95_ms is inf, but must be a finite number"),
    (suite(gates="{accuracy: {min: .nan}}"), "3: min is nan, but must be a finite number"),
    (suite(more="baseline: [a]"), "4: baseline must be the name of one variant, not a list"),
    *(
        (
            suite(more=f'reply: {{thoughts: "{mark}"}}'),
            '...thoughts: write the two marks around a thought, such as "<think>…</think>"...',
        )
        for mark in ("<think>", "…</think>")
    ),
    (suite(more="prompt: ss.ftgate.yaml"),
     '4: prompt: ss.ftgate.yaml does not exist (looked in ./); did you mean "s.ftgate.yaml"?'),
    (suite(more="prompt: a b c d.md"), "4: prompt: a b c d.md does not exist (looked in ./)"),
    *(
        (suite(more=f"prompt: {written}"), f"4: prompt is a file: write “{start} {INTO_ONE}")
        for written, start in (
            ("|\n  Label it.", "Label it."),
            ("You are a helpful bot. Label it.", "You are a helpful"),
            (f"You are a helpful bot. {'Label it. ' * 30}", "You are a helpful"),
        )
    ),
    (f"cases: {CASES}\nvariants: {CLAUDE}\n", '1: "gates" is missing'),
    (suite(gates="\n\taccuracy: {min: 0.2}"), f"4: not YAML: {TAB}"),
    ("- a\n- b\n", "1: a suite is a mapping of keys to values"),
    ("", " the file is empty"),
]  # fmt: skip


@every_row(("text", "message"), MISTAKES)
def test_a_mistake_is_one_error_with_what_to_write_and_causes_no_second_one(
    tmp_path, text, message
):
    assert errors(tmp_path, text) == [Like(message)]


BEHIND = """\
prompt: gone.md
reply: {format: {choice: [refund, billing]}}
serves: tund
case: c.jsonl
variants:
  current: {provider: anthropic, user: "{{ input", seed: 2}
  tuned: {provider: llamacpp, training_data: none.jsonl}
gates:
  acuracy: {min: 0.5}
  format: {mn: 0.5}
  latency: {}
"""
GOOD = '{"input": "a", "expected": "refund"}\n'
ROWS = f'no JSON\n{{"expected": "refnd"}}\n{{"input": "b", "expctd": "billing"}}\n{GOOD}'
#: A suite, and each error that one run tells.
ALL_AT_ONCE = [
    (BEHIND, ['1: "cases" is missing', "1: prompt: gone.md does not exist (looked in ./)",
     '3: serves: "tund" is no variant; did you mean "tuned"?',
     '4: unknown key "case"; did you mean "cases"?',
     '6: variant "current": provider anthropic needs model',
     '6: variant "current": seed means nothing to provider anthropic, ...',
     '6: variant "current": user: not a template: ...',
     '7: variant "tuned": provider llamacpp needs model',
     '7: variant "tuned": training_data needs an adapter or a base; ...',
     '7: variant "tuned": training_data: none.jsonl does not exist (looked in ./)',
     '9: unknown key "acuracy"; did you mean "accuracy"?',
     '10: unknown key "mn"; did you mean "min"?',
     "11: latency: no limit is declared; write max_p95_ms: 1500"]),
    (suite(cases="c.jsonl", gates="{acuracy: {min: 0.5}, forgetting: {skills: logic}}"),
     [Like("c.jsonl:1: not JSON: Expecting value: line 1 column 1 (char 0); write a ..."),
     'c.jsonl:2: a case needs "input" or "messages"',
     'c.jsonl:3: in a case: unknown key "expctd"; did you mean "expected"?',
     "3: forgetting: no gated variant is tuned; give one an adapter or a base",
     '3: unknown key "acuracy"; did you mean "accuracy"?']),
    (suite(variants="5", more="reply: {scor: exact}\nbaseline: b"),
     ["2: variants must be a mapping of keys to values, not 5",
     '4: unknown key "scor"; did you mean "score"?']),
]  # fmt: skip


@every_row(("text", "told"), ALL_AT_ONCE)
def test_an_error_hides_none_behind_it(tmp_path, text, told):
    assert errors(tmp_path, text, files={"c.jsonl": ROWS}) == [*map(Like, told)]


def test_all_errors_of_a_case_are_told_with_its_line(tmp_path):
    text = suite(cases="c.jsonl", more="reply: {format: {choice: [refund, billing]}}")

    assert errors(tmp_path, text, files={"c.jsonl": '{"expected": "refnd"}\n'}) == [
        'c.jsonl:1: a case needs "input" or "messages"',
        Like('c.jsonl:1: expected "refnd" is not one of the labels ...'),
    ]


def test_an_error_in_the_prompt_is_reported_even_where_no_variant_can_be_used(tmp_path):
    text = suite(variants="{a: {provider: nobody}}", more="prompt: p.md")

    found = errors(tmp_path, text, files={"p.md": "{{ tone }}\n"})

    assert len(found) == 2
    assert any("p.md:1: no case has" in one for one in found)


def test_braces_that_are_no_variable_are_answered_with_how_to_write_them(tmp_path):
    text = suite(more="prompt: p.md")
    told = "p.md:1: not a template: ...put literal ones into {% raw %}…{% endraw %}"

    assert errors(tmp_path, text, files={"p.md": 'Answer as {{"a": "b"}}.\n'}) == [Like(told)]
    raw = '{% raw %}Answer as {{"a": "b"}}.{% endraw %}'
    assert load_text(tmp_path, text, {"p.md": raw})


TEN = """\
prompt: tickets.md
cases: tickets.cases.jsonl
reply: {format: {choice: [refund, billing, no]}}
promt: other.md
variants:
  current: {provider: anthropic, model: 4}
  strong: {like: curent}
  local: {provider: lamacpp, model: m}
baseline: currant
gates:
  accuracy: {min: 85}
"""
TEN_FILES = {
    "tickets.md": "Sort the ticket.\nSpeak {{ tone }}.\n",
    "tickets.cases.jsonl": '{"input": "Where is my money?", "expected": "refnd"}\n'
    '{"input": "Charged twice"\n{"input": "Charged once", "expected": "billing"}\n',
}
PLANTED = [
    ("s.ftgate.yaml:3", "YAML reads the bare word no as false"),
    ("s.ftgate.yaml:4", 'unknown key "promt"; did you mean "prompt"?'),
    ("s.ftgate.yaml:6", 'model is 4, but text is wanted here: write "4"'),
    ("s.ftgate.yaml:7", 'there is no variant "curent"; did you mean "current"?'),
    ("s.ftgate.yaml:8", 'unknown provider "lamacpp"; did you mean "llamacpp"?'),
    ("s.ftgate.yaml:9", 'baseline "currant" is no variant; did you mean "current"?'),
    ("s.ftgate.yaml:11", "min is 85, but must be less than or equal to 1"),
    ("tickets.cases.jsonl:1", 'expected "refnd" is not one of the labels'),
    ("tickets.cases.jsonl:2", "not JSON"),
    ("tickets.md:2", 'no case has "tone"'),
]


def test_ten_planted_errors_are_told_once_each_with_its_line_and_nothing_else_is(tmp_path):
    with pytest.raises(SuiteError) as caught:
        load_text(tmp_path, TEN, TEN_FILES)
    head, *shown = str(caught.value).split("\n")

    assert head == "s.ftgate.yaml: 10 errors"
    assert shown == [Like(f"  {place}: ...{message}...") for place, message in PLANTED]
    assert [f"{one.path}:{one.line}" for one in caught.value.errors] == [at for at, _ in PLANTED]


# Addresses -----------------------------------------------------------------------------------

PAGE = f"{DOCS_URL}reference/suite-keys/"
EXPLAINED = """\
prompt: p.md
cases:
  - {input: a, expected: b}
reply:
  score: exact
variants:
  now: {provider: python, function: "answers:answer"}
gates:
  accuracy: {min: 0.5}
"""


@every_row(
    ("old", "new", "anchor"),
    [
        ("p.md", "none.md", "#suite-prompt"),
        ("expected: b", "expected: b, difficulty: 9", "#case-difficulty"),
        ("exact", "{numeric: {tolerance: wide}}", "#score-numeric"),
        ("provider", "temperature: hot, provider", "#variant-temperature"),
        ("min: 0.5", "max_drop: 5", "#accuracy-max_drop"),
        ("min: 0.5", "mn: 0.5", "#gates-accuracy"),
        ("gates:", "economics: {calls_per_day: 0}\ngates:", "#economics-calls_per_day"),
        ("gates:", "baseline: old\ngates:", "#suite-baseline"),
        ("gates:", "bseline: old\ngates:", ""),
        ("cases:\n  - {input: a, expected: b}\n", "", "#suite-cases"),
    ],
)
def test_the_address_of_an_error_is_that_of_its_key(tmp_path, old, new, anchor):
    with pytest.raises(SuiteError) as caught:
        load_text(tmp_path, EXPLAINED.replace(old, new), {"p.md": "Hello"})

    (error,) = caught.value.errors
    assert error.address == f"{PAGE}{anchor}"
    assert f"{error.message} ({PAGE}{anchor})" in str(caught.value)


def test_an_error_in_another_file_has_no_address(tmp_path):
    with pytest.raises(SuiteError) as caught:
        load_text(tmp_path, suite(cases="c.jsonl"), {"c.jsonl": "{broken\n"})

    assert [(error.path, error.address) for error in caught.value.errors] == [("c.jsonl", "")]


def test_names_and_numbers_are_no_part_of_an_address():
    assert key_address("variants", "tuned", "base", "model") == f"{PAGE}#base-model"
    assert key_address("cases", 3, "expected") == f"{PAGE}#case-expected"
    assert key_address("reply", "format", 0, "length", "max") == f"{PAGE}#format-length"
    assert key_address("gates", "format", "thoughts", "max_rise") == f"{PAGE}#thoughts-max_rise"
    assert key_address("economics", "variants", "now", "cached") == f"{PAGE}#spend-cached"


# Files ---------------------------------------------------------------------------------------


@every_row(
    ("key", "text"),
    [
        ("cases", suite(cases="../x.md")),
        ("prompt", suite(more="prompt: ../x.md")),
        ("prompt", suite(more="prompt: link.md")),
        ("json_schema", suite(more="reply: {format: {json_schema: ../x.md}}")),
    ],
)
def test_a_file_outside_the_root_is_refused_even_where_it_exists_or_is_linked(tmp_path, key, text):
    root = tmp_path / "repo"
    root.mkdir()
    (tmp_path / "x.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "x.md")

    (found,) = errors(root, text)

    assert found == Like(f"...{key}: ...md lies outside {root.resolve()}; move it below")


def test_a_file_above_the_suite_and_below_the_root_may_be_named(tmp_path):
    text = suite(more="prompt: ../p.md")
    write_files(tmp_path, {"p.md": "Be kind\n", "prompts/s.ftgate.yaml": text})

    found = load_suite(tmp_path / "prompts/s.ftgate.yaml", tmp_path)

    assert found.variants["current"].system == "Be kind"
    assert found.name == "prompts/s.ftgate.yaml"


def test_a_suite_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="cannot be read: No such file"):
        load_suite(tmp_path / "none.ftgate.yaml", tmp_path)
