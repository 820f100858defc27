from __future__ import annotations

from ftgate_testing.tables import every_row

import pytest_ftgate
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.next_steps import step_command, step_line, step_text

#: A value for each key that any kind of step has.
VALUES = {
    "cause": "text",
    "text": "remove scale",
    "suite": "s.ftgate.yaml", "where": "s.ftgate.yaml:6", "node": "s.ftgate.yaml::forgetting[new]",
    "n": 20, "missing": 3, "needed": 40, "cases": "case", "setting": "max_drop: 0.1", "repeats": 3,
    "passes": 0.92, "now": 0.75, "anchor": False, "variant": "new", "gates": 2, "for": "worse",
    "is_baseline": False, "claims": "adapter", "skill": "facts", "margin": 0.1, "low": -0.2,
    "high": 0.1, "replies": 7, "format_error": "fenced", "repeated": True, "remedy": "remove rows",
    "requested": 5, "tokens": 900, "longest": 412, "file": "new.jsonl", "label": "refund",
    "taken_for": "billing",
    "count": 7, "open": False, "unchanged": 12, "kind": "tag", "name": "long", "regressed": 12,
    "cut": 30, "of": 40, "failed": False, "in_mark": False, "fails": False, "default": False,
    "unit": "seconds", "program": True, "runs": False,
    "narrows": False, "chance": 0.4, "last": 40, "at_last": 0.9, "recorded": False,
}  # fmt: skip


@every_row("kind", StepKind)
def test_every_kind_of_step_has_a_sentence(kind):
    assert step_text(NextStep(kind, VALUES))


def test_a_command_stands_after_its_sentence():
    step = NextStep(StepKind.SHOW_REGRESSED, {"node": VALUES["node"]})

    assert step_command(step) == f'pytest --ftgate -vv "{VALUES["node"]}"'
    assert step_line(step) == f"{step_text(step)}: {step_command(step)}"
    assert pytest_ftgate.step_line(step) == step_line(step)


@every_row("kind, changed, expected", [
    (StepKind.SET_LIMIT, {},
     "max_drop: 0.1, in s.ftgate.yaml:6 (chosen after the result; say why in the review)"),
    (StepKind.ADD_CASES, {},
     "add cases: about 12 more if nothing has changed, about 40 more if the result stays as it is"),
    (StepKind.ADD_CASES, {"unchanged": 0, "needed": 243, "fails": True, "default": 0.15},
     ("add cases: about 250 more if the result stays as it is (if the result stays, the gate "
      "fails; more cases lower the default limit; write max_drop: 0.15 to keep it)")),
    (StepKind.ADD_CASES, {"default": 0.15, "as_option": True},
     ("add cases: about 12 more if nothing has changed, about 40 more if the result stays as it is "
      "(more cases lower the default limit; write --max-drop 0.15 to keep it)")),
    (StepKind.SHIP_OTHER, {},
     "ship new, which passes its 2 gates (gated: false for worse, s.ftgate.yaml:6)"),
    (StepKind.SHIP_OTHER, {"is_baseline": True, "gates": 1},
     "keep new, which passes its gate (gated: false for worse, s.ftgate.yaml:6)"),
    (StepKind.DECLARE_PRICE, {"counted": True},
     ("declare usd_per_1m_input and usd_per_1m_output of new, in s.ftgate.yaml:6 (or price_model, "
      "or usd_per_1k)")),
    (StepKind.CHECK_IDENTITY, {"claims": "schema"},
     ("take a server that holds replies to a schema, or remove response_schema, in "
      "s.ftgate.yaml:6")),
    (StepKind.MAKE_BASELINE, {},
     "baseline: new, in s.ftgate.yaml:6 (if the drop is intended; say why in the review)"),
    (StepKind.MAKE_BASELINE, {"in_mark": True},
     ("put new first in variants=, in s.ftgate.yaml:6 (if the drop is intended; say why in the "
      "review)")),
    (StepKind.FIX_CASES, {"cases": "t1, t2, t3", "count": 34}, "t1, t2, t3 and 31 more"),
    (StepKind.FIX_CASES,
     {"cases": "t1", "count": 1, "changed": ("model", "prompt"), "added": 2, "removed": 1},
     "t1 (changed: model, prompt (+2 −1 lines))"),
    (StepKind.FIX_CASES, {"cases": "t1", "count": 1, "open": True}, "t1, and run again"),
    (StepKind.DECIDE_OTHERWISE, {"n": 1},
     ("improve the replies: no affordable number of cases decides this (it takes over five times "
      "the 1 case that there is)")),
    (StepKind.DECIDE_OTHERWISE, {"narrows": True},
     ("lower max_tokens or max_cost_per_case, or write evidence: point: no affordable number of "
      "cases decides this (it takes over five times the 20 cases that there are)")),
])  # fmt: skip
def test_an_edit_says_what_it_brings_and_where(kind, changed, expected):
    assert step_text(NextStep(kind, VALUES | changed)) == expected


@every_row("kind, changed, expected", [
    (StepKind.RUN_AGAIN, {}, "pytest --ftgate s.ftgate.yaml"),
    (StepKind.RUN_AGAIN, {"max_usd": 0.0, "options": ("--ftgate-max-usd=1",)},
     "pytest --ftgate --ftgate-max-usd=1 --ftgate-plan s.ftgate.yaml"),
    (StepKind.RUN_AGAIN, {"max_usd": 2.0}, "pytest --ftgate --ftgate-max-usd=2 s.ftgate.yaml"),
    (StepKind.RUN_AGAIN,
     {"max_usd": 2.0, "options": ("--ftgate-replies=recorded", "--ftgate-max-usd=1")},
     "pytest --ftgate --ftgate-replies=recorded --ftgate-max-usd=2 s.ftgate.yaml"),
    (StepKind.ACCEPT_RUN, {}, "pytest --ftgate --ftgate-accept s.ftgate.yaml"),
    (StepKind.ACCEPT_RUN, {"anchor": True, "suite": "my s.ftgate.yaml"},
     'pytest --ftgate --ftgate-accept-anchor "my s.ftgate.yaml"'),
    (StepKind.ACCEPT_RUN, {"failed": True},
     "pytest --ftgate --ftgate-accept --ftgate-accept-failed s.ftgate.yaml"),
    # A limit that a record knows is loosened only by a run that is accepted as well.
    (StepKind.SET_LIMIT, {}, ""),
    (StepKind.SET_LIMIT, {"record": "s.ftgate.yaml"},
     "pytest --ftgate --ftgate-accept s.ftgate.yaml"),
    (
        # The replies of a fresh run are cached: to see them costs nothing.
        StepKind.SHOW_REGRESSED,
        {"options": ("--ftgate-replies=fresh", "--ftgate-safe")},
        'pytest --ftgate --ftgate-safe -vv "s.ftgate.yaml::forgetting[new]"',
    ),
    (StepKind.SHOW_REGRESSED, {"options": ("--ftgate-safe",)},
     'pytest --ftgate --ftgate-safe -vv "s.ftgate.yaml::forgetting[new]"'),
    (StepKind.REQUEST_BOTH_AGAIN, {"options": ("--ftgate-replies=recorded",)},
     "pytest --ftgate --ftgate-replies=fresh s.ftgate.yaml"),
])  # fmt: skip
def test_a_command_names_the_suite(kind, changed, expected):
    assert step_command(NextStep(kind, VALUES | changed)) == expected


def test_an_unknown_format_error_leads_to_the_prompt():
    values = {"format_error": "house style", "replies": 2}

    text = step_text(NextStep(StepKind.FIX_FORMAT, values))

    assert text == (
        "say in the prompt how replies must look (the most common format error is “house style”: "
        "2 replies)"
    )
