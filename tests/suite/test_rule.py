"""The key of a rule: the same for copies, another for every other rule."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import combinations

from ftgate_testing.tables import every_row

from pytest_ftgate.suite.rule import Rule

EXACT = Rule("exact")


def ends_well(case, reply, mark="."):
    return reply.text.endswith(mark)


def is_short(case, reply):
    return len(reply.text) < 9


class Keyword:
    def __call__(self, case, reply):
        return "keyword" in reply.text


def pickled(rule):
    return pickle.loads(pickle.dumps(rule))


RULES = {
    "plain": EXACT,
    "value": Rule("json_schema", {"enum": ["a", 1, None], "type": ["string", "null"]}),
    "options": Rule("similarity", None, {"min": 0.5}),
    "mean": Rule("mean", ((EXACT, 1.0), (Rule("judge", "Kind?", {"samples": 2}), 2.0))),
    "function": Rule("offered", "ends", {}, ends_well),
    "partial": Rule("offered", "ends", {"mark": "!"}, partial(ends_well, mark="!")),
    "callable": Rule("offered", "keyword", {}, Keyword()),
}


@every_row("copied", [replace, deepcopy, pickled])
@every_row("name", RULES)
def test_a_copy_of_a_rule_has_its_key(name, copied):
    rule = RULES[name]
    before, key = copied(rule), rule.key

    assert before is not rule
    assert (before.key, copied(rule).key) == (key, key)


def test_the_order_of_keys_in_a_value_does_not_count():
    assert Rule("fields", {"a": 1, "b": 2}).key == Rule("fields", {"b": 2, "a": 1}).key


DIFFERENT = (
    *RULES.values(),
    Rule("contains"),
    Rule("json_schema", {"enum": [1]}),
    Rule("json_schema", {"enum": ["1"]}),
    Rule("json_schema", {"enum": [True]}),
    Rule("json_schema", {"const": "2024-05-01"}),
    Rule("json_schema", {"const": date(2024, 5, 1)}),
    Rule("json_schema", {"properties": {1: {}}}),
    Rule("json_schema", {"properties": {"1": {}}}),
    Rule("choice", ["a", "b"]),
    Rule("choice", ["b", "a"]),
    Rule("similarity", None, {"min": 0.6}),
    Rule("mean", ((EXACT, 2.0), (Rule("judge", "Kind?", {"samples": 2}), 2.0))),
    Rule("mean", ((EXACT, 1.0), (Rule("judge", "Kind?", {"samples": 3}), 2.0))),
    Rule("offered", "ends", {}, is_short),
    Rule("offered", "ends", {}, lambda case, reply: 1.0),
    Rule("offered", "short", {}, is_short),
    Rule("offered", "ends", {"mark": "?"}, partial(ends_well, mark="?")),
)


def test_different_rules_have_different_keys():
    assert [(a, b) for a, b in combinations(DIFFERENT, 2) if a.key == b.key] == []


def test_a_rule_changed_by_replace_has_another_key():
    # The key of the original must not stay behind.
    assert replace(EXACT, kind="contains").key != EXACT.key
    assert replace(EXACT, kind="contains").key == Rule("contains").key
