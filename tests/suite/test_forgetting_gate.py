"""The forgetting gate's keys: skills of the package and of the team, margins, and every misuse."""

from __future__ import annotations

import pytest
from ftgate_testing.suite_files import errors_of, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate import skills

TUNED = "tuned: {provider: anthropic, model: n, base: m}"
OWN = """\
prompt: tone.md
user: "Guest: {{ input }}"
reply: {score: contains, max_tokens: 40}
cases:
  - {id: hi, input: Hello, expected: welcome, must_keep: true}
  - {id: bye, input: "{{ x }}", expected: farewell, group: ends, max_tokens: 9}
  - {id: odd, input: Nothing is expected}
  - id: talk
    messages: [{role: user, content: Hm}]
    expected: yes please
    skill: small_talk
variants: {a: {provider: recorded, replies: r.jsonl}}
gates: {accuracy: {min: 0.5}}
"""
ASKING = f"{TUNED[:-1]}, user: '{{{{ input }}}}'}}"
#: All cases are of the one skill that has the name of the file.
UNTALKED = OWN.replace("skill: small_talk", "tags: [x]")


def gate(folder, keys, *, variant=TUNED, more="", **files):
    """Load a suite with a forgetting gate of *keys*; ``__`` in a file's name is its dot."""
    named = {name.replace("__", "."): text for name, text in files.items()}
    there = {"r.jsonl": "", "tone.md": "Be warm, {{ id }}.\n", **named}
    gates = f"{{forgetting: {{{keys}}}}}"
    return load_variants(folder, variant, gates=gates, more=more, files=there).gates["forgetting"]


def errors(folder, keys, **more):
    return errors_of(gate, folder, keys, **more)


# Skills of the package --------------------------------------------------------------------------


@every_row(
    ("keys", "count"),
    [
        ("", len(skills.skill_names())),
        ("skills: general-small", len(skills.skill_names())),
        ("skills: reading", 1),
        ("skills: [reading, logic]", 2),
    ],
)
def test_skills_are_named_by_sets_and_by_themselves(tmp_path, keys, count):
    assert len({case.skill for case in gate(tmp_path, keys).cases}) == count


def test_margins_weights_and_what_may_be_lost_are_kept_as_written(tmp_path):
    found = gate(
        tmp_path,
        "max_drop: 0.05, each: 0.1, margins: {logic: 0.2}, weights: {reading: 2, memory: 0}, "
        "may_lose: [translation], stop_early: true",
    )

    assert (found.max_drop, found.each, found.under_prompt) == (0.05, 0.1, False)
    assert found.stop_early
    assert [found.required_margin(s) for s in ("logic", "reading", "translation")] == [
        0.2,
        0.1,
        None,
    ]
    assert [found.weight(s) for s in ("logic", "reading", "memory", "translation")] == [1, 2, 0, 0]


def test_margins_and_weights_may_name_a_family(tmp_path):
    found = gate(
        tmp_path,
        "skills: [general, hard-code], margins: {reasoning: 0.15, logic: 0.2}, "
        "weights: {reasoning: 2, logic: 1, hard-code: 3}",
    )

    assert found.margins == {"logic": 0.2}
    assert found.family_margins == {"reasoning": 0.15}
    assert [found.weight(s) for s in ("logic", "arithmetic", "reading")] == [1, 2, 1]
    # A family with levels counts as one skill.
    assert sum(map(found.weight, skills.LEVELED_FAMILIES["hard-code"])) == pytest.approx(3)


def test_a_name_that_is_a_skill_and_a_family_means_the_skill(tmp_path):
    found = gate(tmp_path, "families: {reading: [reading, logic]}, margins: {reading: 0.2}")

    assert (found.margins, found.family_margins) == ({"reading": 0.2}, {})


def test_a_bundled_case_can_be_named_as_one_to_keep(tmp_path):
    found = gate(tmp_path, "skills: logic, must_keep: [logic-001]")

    assert [case.id for case in found.cases if case.must_keep] == ["logic-001"]


# Skills of the team -----------------------------------------------------------------------------


def test_a_suite_of_the_team_is_a_skill_asked_as_it_asks_itself(tmp_path):
    found = gate(tmp_path, "skills: [./tone.ftgate.yaml]", tone__ftgate__yaml=OWN)
    cases = {case.id: case for case in found.cases}

    assert list(cases) == ["tone/hi", "tone/bye", "tone/talk"]
    assert cases["tone/hi"].messages == (("system", "Be warm, hi."), ("user", "Guest: Hello"))
    assert cases["tone/bye"].messages[1] == ("user", "Guest: {{ x }}")
    assert cases["tone/talk"].messages == (("system", "Be warm, talk."), ("user", "Hm"))
    assert [case.skill for case in cases.values()] == ["tone", "tone", "small_talk"]
    assert [case.max_tokens for case in cases.values()] == [40, 9, 40]
    assert cases["tone/hi"].must_keep
    assert cases["tone/bye"].group == "tone/ends"
    assert {case.folder for case in found.cases} == {tmp_path}
    assert cases["tone/hi"].score.kind == "contains"


def test_suites_of_the_team_are_named_by_a_glob_beside_a_set(tmp_path):
    (tmp_path / "skills").mkdir()
    for name in ("tone", "refunds"):
        text = UNTALKED.replace("tone.md", "../tone.md").replace("r.jsonl", "../r.jsonl")
        (tmp_path / "skills" / f"{name}.ftgate.yaml").write_text(text)
    found = gate(tmp_path, "skills: [logic, skills/*.ftgate.yaml]")

    assert {case.skill for case in found.cases} == {"logic", "refunds", "tone"}


def test_two_suites_may_be_skills_of_each_other(tmp_path):
    other = OWN.replace("{a: {provider: recorded, replies: r.jsonl}}", f"{{{TUNED}}}")
    other = other.replace("{accuracy: {min: 0.5}}", "{forgetting: {skills: ./s.ftgate.yaml}}")
    found = gate(tmp_path, "skills: ./tone.ftgate.yaml", tone__ftgate__yaml=other)

    assert len(found.cases) == 3


def test_errors_of_a_skill_are_told_with_its_own_file_and_line(tmp_path):
    broken = OWN.replace("input: Hello", "inptu: Hello")
    (first, *_) = errors(tmp_path, "skills: ./tone.ftgate.yaml", tone__ftgate__yaml=broken)

    assert first == 'tone.ftgate.yaml:5: in a case: unknown key "inptu"; did you mean "input"?'


def test_a_skill_of_the_team_may_have_the_name_of_a_bundled_one_that_is_not_in_use(tmp_path):
    keys = "skills: [logic, ./reading.ftgate.yaml]"
    found = gate(tmp_path, keys, reading__ftgate__yaml=UNTALKED)

    assert {case.skill for case in found.cases} == {"logic", "reading"}
    assert found.family_of("reading") == "reading"


# Families ---------------------------------------------------------------------------------------


@every_row(
    ("families", "of"),
    [
        ("", ["tone", "small_talk", "reasoning", "reasoning", "reasoning", "language"]),
        ("families: {hotel: [tone, small_talk], maths: [arithmetic], language: [logic]}",
         ["hotel", "hotel", "maths", "reasoning", "language", "language"]),
    ],
)  # fmt: skip
def test_skills_have_families_of_the_package_or_by_name_or_are_one_of_their_own(
    tmp_path, families, of
):
    keys = f"skills: [general, ./tone.ftgate.yaml], {families}"
    found = gate(tmp_path, keys, tone__ftgate__yaml=OWN)
    names = ("tone", "small_talk", "arithmetic", "word_problems", "logic", "reading")

    assert [found.family_of(skill) for skill in names] == of


def test_a_skill_with_the_name_of_a_family_joins_it_where_that_is_written(tmp_path):
    keys = "skills: [code_reading, ./code.ftgate.yaml], families: {code: [code]}"
    found = gate(tmp_path, keys, code__ftgate__yaml=UNTALKED)

    assert found.evaluated_families(["code_reading", "code"]) == {"code": ["code_reading", "code"]}


# Every misuse -----------------------------------------------------------------------------------


@every_row(
    ("keys", "message"),
    [
        ("skills: []", "skills: the list is empty; write skills: general"),
        ("skills: redaing", 'no skill "redaing"; did you mean "reading"?'),
        ("skills: xyz", 'no skill "xyz"; known: general, general-small, general-hard, hard-code'),
        ("skills: ./none.ftgate.yaml", "skills: ./none.ftgate.yaml does not exist"),
        ("skills: none/*.yaml", "skills: no file matches none/*.yaml"),
        ("skills: ./s.ftgate.yaml", "skills: a suite cannot be a skill of its own"),
        ("skills: ./empty.ftgate.yaml", "skills: no case of empty.ftgate.yaml expects anything"),
        ("skills: [logic, ./logic.ftgate.yaml]",
         'skill "logic" of logic.ftgate.yaml:5 has the name of'),
        ("max_drop: 0", "max_drop is 0, but must be greater than 0"),
        ("each: 5", "each is 5, but must be less than 1; for 5 % write 0.05"),
        ("margins: {lojic: 0.1}", 'margins: no skill "lojic" is tested; did you mean "logic"?'),
        ("margins: {hard-code: 0.1}", 'margins: no skill "hard-code" is tested'),
        ("skills: [logic, reading], weights: {reasoning: 0, language: 0}",
         "weights: every weight is 0, so there is no mean"),
        ("weights: {logic: -1}", "logic is -1, but must be greater than or equal to 0"),
        ("skills: [logic], weights: {reading: 2}", 'no skill "reading" is tested; tested: logic'),
        ("may_lose: [tranlsation]", 'may_lose: no skill "tranlsation" is tested; did you mean'),
        ("skills: logic, may_lose: [logic]", "may be lost, so nothing would be evaluated"),
        ("may_lose: [logic], margins: {logic: 0.1}", "margins: logic may be lost, so this"),
        ("may_lose: [logic], weights: {logic: 2}", "weights: logic may be lost, so this"),
        ("families: {a: [lojic]}", 'families: no skill "lojic" is tested; did you mean "logic"?'),
        ("families: {a: [logic], b: [logic]}", "families: logic is in a and in b; keep one"),
        ("skills: [code_reading, ./code.ftgate.yaml]",
         'skill "code" has the name of a family; rename it, or write families: {code: [code]}'),
        ("must_keep: [logic-1]", 'must_keep: no skills case has the id "logic-1"; did you mean'),
        ("must_keep: [x]", 'no skills case has the id "x"; ids are such as arithmetic-001'),
        ("under: promt", "under is \"promt\", but must be one of 'own' or 'prompt'"),
        ("under: prompt", "under: variant tuned has no prompt; give it one, or write under: own"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_message_with_its_line_and_a_remedy(tmp_path, keys, message):
    files = {
        "empty__ftgate__yaml": OWN.partition("cases:")[0] + "cases: [{input: a}]\n"
        + OWN[OWN.index("variants:") :],
        "logic__ftgate__yaml": UNTALKED,
        "code__ftgate__yaml": UNTALKED,
    }  # fmt: skip
    (found,) = errors(tmp_path, keys, **files)

    assert message in found
    assert found.startswith("2: ")


@every_row(
    ("keys", "more", "message"),
    [
        ("under: prompt",
         {"more": "prompt: p.md\n", "p__md": "Serve {{ customer }}.", "variant": ASKING},
         "the prompt of tuned wants customer, which skills cases do not have"),
        ("skills: ./tone.ftgate.yaml",
         {"tone__ftgate__yaml": OWN.replace("expected: welcome, must_keep", "must_keep")},
         "must_keep needs expected or a format: without it no reply is wrong"),
        ("skills: {lm-eval: nowhere}, stop_early: true", {},
         "stop_early: a log holds all of its answers, so none is saved; remove stop_early"),
        ("skills: logic, stop_early: true",
         {"variant": TUNED.replace("base: m", "base_replies: r.jsonl")},
         "stop_early: the base of tuned is recorded, so all questions are asked"),
        *(
            ("", {"variant": f"tuned: {{{keys}}}", "t__csv": "text,label\na,b\n"}, message)
            for keys, message in (
                ("provider: recorded, replies: r.jsonl, base: m", "write base_replies: and a file"),
                (f"{TUNED[8:-1]}, base_replies: no.jsonl", "no.jsonl does not exist"),
                (
                    "provider: classical, training_data: t.csv, base_replies: r.jsonl",
                    "base_replies means nothing to provider classical",
                ),
            )
        ),
    ],
)  # fmt: skip
def test_what_lies_beside_the_gate_must_fit_it(tmp_path, keys, more, message):
    assert any(message in error for error in errors(tmp_path, keys, **more))


def test_all_errors_of_the_keys_are_told_at_once(tmp_path):
    found = errors(tmp_path, "may_lose: [a], margins: {b: 0.1}, weights: {c: 1}, must_keep: [d]")

    assert len(found) == 4


def test_a_skill_suite_that_cannot_be_read_is_one_error(tmp_path):
    (tmp_path / "own.ftgate.yaml").write_bytes(b"\xff")

    assert errors(tmp_path, "skills: ./own.ftgate.yaml") == [
        "own.ftgate.yaml:1: suite: the file is not UTF-8 from here on: save it as UTF-8"
    ]
