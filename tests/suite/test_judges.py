"""Judges as a suite declares them: what they are made of, and what is wrong with others."""

from __future__ import annotations

from ftgate_testing.judge_suites import suite_with_judge
from ftgate_testing.suite_files import Like, errors_of, load_variants
from ftgate_testing.tables import every_row

ONE = "one: {provider: anthropic, model: m}"
MODEL = "model: {provider: anthropic, model: claude-judge}"


def judge(folder, text):
    (made,) = suite_with_judge(folder, text).judges
    return made


def errors(folder, text, **more):
    return errors_of(suite_with_judge, folder, text, **more)


def test_a_judge_needs_a_rubric_and_a_model(tmp_path):
    made = judge(tmp_path, f"{{rubric: It is polite., {MODEL}}}")

    assert (made.name, made.rubric, made.samples) == ("claude-judge", "It is polite.", 1)
    assert dict(made.grades) == {"good": 1.0, "bad": 0.0}
    assert (made.labels, made.minimum, made.is_pairwise) == ((), {}, False)


def test_the_model_takes_the_keys_of_a_variant(tmp_path):
    model = "{provider: openai-compatible, model: m, base_url_env: URL, temperature: 0, seed: 3}"
    variant = judge(tmp_path, f"{{rubric: r, model: {model}}}").variant

    assert variant.base_url_env == "URL"
    assert variant.sampling == {"temperature": 0, "seed": 3}


@every_row(
    ("text", "message"),
    [
        ("{}", 'judge: "rubric" is missing; a judge is {rubric: ..., model:'),
        (f"{{rubrik: r, {MODEL}}}", 'judge: unknown key "rubrik"; did you mean "rubric"?'),
        (f"{{rubric: 3, {MODEL}}}", "judge: rubric is text, or a file: {from: rubric.md}"),
        (f"{{rubric: polite.md, {MODEL}}}", "judge: rubric is a text; for a file write {from: pol"),
        (f"{{rubric: {{from: no.md}}, {MODEL}}}", "judge: rubric: no.md does not exist"),
        (f'{{rubric: "{{{{ tune }}}}", {MODEL}}}', 'rubric: no case has "tune"; did you mean "ton'),
        (f'{{rubric: "{{% if %}}", {MODEL}}}', "judge: rubric: not a template"),
        ("{rubric: r, model: claude}", "judge: model must be a mapping of keys to values"),
        ("{rubric: r, model: {}}", "judge: model: provider is missing; one of anthropic"),
        ("{rubric: r, model: {provider: anthropic}}", "provider anthropic needs model"),
        ("{rubric: r, model: {provider: anthropic, model: m, temprature: 0}}",
         'judge: model: unknown key "temprature"; did you mean "temperature"?'),
        ("{rubric: r, model: {provider: transformers, model: m, dtype: float32}}",
         'judge: model: "dtype" is no longer supported: write load: {dtype: …}'),
        ("{rubric: r, model: {provider: openai-compatible, model: m, base_url: [a]}}",
         "judge: model: base_url must be text, not a list; put a load balancer before the servers"),
        ("{rubric: r, model: {provider: anthropic, model: m, prompt: p.md}}",
         "judge: model: a judge has no prompt: its prompt is the rubric; remove it"),
        ("{rubric: r, model: {provider: recorded, replies: r.jsonl}}",
         "provider recorded cannot read a rubric; name a model"),
        (f"{{rubric: r, {MODEL}, grades: {{a: 1}}}}", "judge: grades"),
        (f"{{rubric: r, {MODEL}, grades: {{a: 1, b: 1}}}}", "grades: all have the same value"),
        (f"{{rubric: r, {MODEL}, compare: baseline, grades: {{a: 1, b: 0}}}}",
         "judge: grades: with compare they are first, tie, second; remove them"),
        (f"{{rubric: r, {MODEL}, min: {{kappa: 0.5}}}}", "judge: min needs human: and a file"),
        (f"{{rubric: r, {MODEL}, human: no.jsonl}}", "judge: human: no.jsonl does not exist"),
        ("polite", "judge needs a rubric and a model, such as {judge: {rubric:"),
    ],
)  # fmt: skip
def test_a_judge_that_cannot_be_used_says_what_to_write(tmp_path, text, message):
    assert any(message in told for told in errors(tmp_path, text))


def test_all_that_is_wrong_with_a_judge_is_told_at_once(tmp_path):
    text = (
        "{rubric: polite.md, model: {provider: anthropic}, grades: {a: 1, b: 1}, human: no.jsonl}"
    )

    assert len(errors(tmp_path, text)) == 4


def test_a_judge_of_a_single_case_is_refused_with_what_to_do_instead(tmp_path):
    cases = f"[{{id: a, input: q, score: {{judge: {{rubric: r, {MODEL}}}}}}}]"

    assert errors_of(load_variants, tmp_path, ONE, cases=cases) == [
        Like("1: score: a judge belongs to reply.score; what differs from case...")
    ]


def test_a_minimum_means_nothing_to_a_judge_that_compares(tmp_path):
    text = f"{{rubric: r, {MODEL}, compare: baseline}}"

    (told,) = errors(tmp_path, text, gates="{accuracy: {min: 0.5}}")

    assert "min: a judge with compare gives no rate of its own" in told


# Labels ---------------------------------------------------------------------------------------


def labelled(folder, row, more=""):
    (folder / "labels.jsonl").write_text(f"{row}\n", "utf-8")
    return f"{{rubric: r, {MODEL}, human: labels.jsonl{more}}}"


def test_labels_are_read_with_the_case_that_they_are_of(tmp_path):
    row = '{"case": "c1", "input": "shown", "reply": "Yes.", "grade": "good", "note": "mine"}'
    made = judge(tmp_path, labelled(tmp_path, row))
    (label,) = made.labels

    assert (label.case.input, label.reply, label.grade) == ("Question 1", "Yes.", "good")
    assert label.location == "labels.jsonl:1"
    assert dict(made.minimum) == {"kappa": 0.4}


@every_row(
    ("row", "more", "message"),
    [
        ('{"case": "c9", "reply": "x", "grade": "good"}', "", 'there is no case "c9" in the suite'),
        ('{"case": "c1", "grade": "good"}', "", '"reply" is missing: the text that was graded'),
        ('{"case": "c1", "reply": "x", "grade": ""}', "", '"grade" is empty; write good or bad'),
        ('{"case": "c1", "reply": "x", "grade": "god"}', "", 'did you mean "good"?'),
        ('{"case": "c1", "reply": "x"}', "", 'in a label: "grade" is missing'),
        ('{"case": "c1", "reply": "x", "grade": "first"}', ", compare: baseline",
         'a judge that compares needs "first" and "second"'),
        ('{"about": "nothing"}', "", "labels.jsonl contains no labels"),
    ],
)  # fmt: skip
def test_a_label_that_cannot_be_used_is_an_error_at_its_line(tmp_path, row, more, message):
    assert any(message in told for told in errors(tmp_path, labelled(tmp_path, row, more)))


def test_a_rubric_that_fails_for_a_case_is_an_error_at_the_line_of_the_case(tmp_path):
    first, *_, last = errors(tmp_path, f'{{rubric: "{{{{ tone + 1 }}}}", {MODEL}}}', cases=5)

    assert first.startswith("cases.jsonl:1: judge: the rubric fails for this case: TypeError")
    assert last.endswith("(and 2 more lines like it)")


def test_a_rubric_need_not_fit_a_case_that_has_a_score_of_its_own(tmp_path):
    cases = "[{input: a, expected: b, score: exact}, {input: b, vars: {aim: kind}}]"
    score = f'reply: {{score: {{judge: {{rubric: "{{{{aim}}}}", {MODEL}}}}}}}\n'

    suite = load_variants(tmp_path, ONE, cases=cases, more=score)

    assert suite.judges[0].rubric == "{{aim}}"


def test_a_placeholder_in_a_rubric_is_a_warning_at_its_line(tmp_path):
    suite = suite_with_judge(tmp_path, f'{{rubric: "Is it {{expected}} and {{tone}}?", {MODEL}}}')

    (warning,) = map(str, suite.warnings)
    assert warning.startswith(
        "s.ftgate.yaml:2: judge: rubric: {expected}, {tone} are sent as they stand: "
        "write {{ expected }}, {{ tone }}, or "
    )
