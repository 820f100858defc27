"""JavaScript of assertions: its simple forms are checks, and what is more stays code."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.readers.javascript import is_whole_function, readable_checks


def rules(code, **variables):
    checks = readable_checks(code, variables)
    return checks and [check.rule for check in checks]


def of_field(name, schema, **keys):
    return {"json_schema": {"type": "object", "properties": {name: schema}, **keys}}


def includes(text, kind="contains"):
    return {kind: {"texts": [text], "whole_words": False, "case": True}}


JSON = {"json_schema": {}}
BILLING = of_field("a", {"const": "billing"}, required=["a"])


@every_row("code, expected", [
    ("output.includes('x')", [includes("x")]),
    ('return !output.includes("it\'s");', [includes("it's", "avoids")]),
    ("output.toLowerCase().includes('x') && output.length <= 280 ? 1 : 0",
     [{"contains": {"texts": ["x"], "whole_words": False}},
      {"length": {"unit": "characters", "max": 280}}]),
    ("output.length > 10", [{"length": {"unit": "characters", "min": 11}}]),
    (r"output.trim().split(/\s+/).length < 50", [{"length": {"unit": "words", "max": 49}}]),
    (r"/^\d+$/i.test(output)", [{"regex": "(?i)^[0-9]+$"}]),
    (r"!/a\/b/.test(output.trim())", [{"regex": "^(?!(?s:.*)(?:a/b))"}]),
    (r"/\bno\B/.test(output)", [{"regex": r"(?a:\b)no(?a:\B)"}]),
    (r"/\p{L}/u.test(output)", [{"regex": r"\p{L}"}]),
    (r"/\p{L}/.test(output)", [{"regex": r"p\{L}"}]),
    ("output.startsWith('{') && (output.endsWith('}'))", [{"regex": r"^\{"}, {"regex": r"\}$"}]),
    ("output.trim() === 'yes'", [{"regex": "^yes$"}]),
    ("['a', 'b.c'].includes(output)", [{"regex": r"^(?:a|b\.c)$"}]),
    ("JSON.parse(output).a === 'billing'", [BILLING, JSON]),
    ("const j = JSON.parse(output); return j.a === 'billing'", [BILLING, JSON]),
    ("JSON.parse(output)['a'] === context.vars.label", [BILLING, JSON]),
    ("JSON.parse(output).a !== 'x' && ['b'].includes(JSON.parse(output).a)",
     [of_field("a", {"not": {"const": "x"}}), JSON,
      of_field("a", {"enum": ["b"]}, required=["a"])]),
    ("typeof JSON.parse(output).a === 'string' && Array.isArray(JSON.parse(output).b)",
     [of_field("a", {"type": "string"}, required=["a"]), JSON,
      of_field("b", {"type": "array"}, required=["b"])]),
])  # fmt: skip
def test_a_simple_form_is_a_check(code, expected):
    assert rules(code, label="billing") == expected


@every_row("code", [
    'output.includes("a") || output.includes("b")',
    "output.includes('a') && score(output)",
    "output.includes('a') ? 1 : 0.5",
    "output.includes('a'))",
    "(output.includes('a')",
    "output.includes(`a`)",
    "output.toLowerCase().includes('Never')",
    "output.split(',').every(p => p.includes('a'))",
    "JSON.parse(output).a > 3",
    "JSON.parse(output).items.length > 0",
    "!(output.length > 3)",
    "output.includes('a') // and more",
    "if (output.includes('a')) { return true }",
    r"output.includes('\d')",
    "JSON.parse(output).a != undefined",
    "typeof JSON.parse(output).a === 'function'",
    "const j = JSON.parse(output); return output.includes('a')",
    r"/\u{41}/.test(output)",
    "/(?i)a/.test(output)",
    "/(?>a)/.test(output)",
    "/(?P<n>a)/.test(output)",
    "/a++/.test(output)",
    "/[[:alpha:]]/.test(output)",
    r"/(?<=a)b/y.test(output)",
    "",
])  # fmt: skip
def test_what_is_more_stays_code(code):
    assert rules(code) is None


@every_row("code, is_one", [
    ("(output) => {\n  return output === '}';\n}", True),
    ("output => output.length > 3", True),
    ("function (output) { return { a: 1 } };", True),
    ("function words(text) {\n  return 3;\n}\nreturn words(output) > 3;", False),
    ("(t) => t.length;\nreturn 3", False),
    ("const f = (t) => t.length;\nreturn f(output) > 3", False),
    ("(output.length > 3)", False),
])  # fmt: skip
def test_a_function_alone_is_told_from_one_that_is_called(code, is_one):
    assert is_whole_function(code) is is_one
