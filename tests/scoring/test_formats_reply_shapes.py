"""Replies as models write them, with their format error and whether a lenient reader repairs it."""

from __future__ import annotations

from pathlib import Path

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

CHOICE = Rule("choice", ["refund", "billing", "late delivery", "late"])
TICKET = Rule(
    "json_schema",
    {
        "type": "object",
        "properties": {
            "label": {"enum": ["a", "b"]},
            "n": {"type": "integer", "minimum": 1},
            "tags": {"items": {"type": "string"}},
        },
        "required": ["label"],
        "additionalProperties": False,
    },
)
ANYTHING = Rule("json_schema", {})
FENCE = "```"

#: (reply, its fault or None, whether a lenient reader takes it)
LABELS = [
    ("refund", None, True),
    ("\n refund \t\n", None, True),
    ("late delivery", None, True),
    ("late", None, True),
    ("\u00a0refund\u2003", None, True),
    ("Refund", "wrong label casing", True),
    ("REFUND", "wrong label casing", True),
    ("refund.", "wrong label casing", True),
    ('"refund"', "wrong label casing", True),
    ("'Refund'", "wrong label casing", True),
    ("**refund**", "wrong label casing", True),
    ("`refund`", "wrong label casing", True),
    ("Late Delivery!", "wrong label casing", True),
    (f"{FENCE}\nrefund\n{FENCE}", "fenced", True),
    (f"{FENCE}text\nrefund\n{FENCE}", "fenced", True),
    (f"{FENCE}\nRefund.\n{FENCE}", "fenced", True),
    (f"{FENCE}refund{FENCE}", "fenced", True),
    (f"{FENCE}\nnonsense\n{FENCE}", "not in enumeration", False),
    ("It is refund", "preamble", False),
    ("Category: refund", "preamble", False),
    ("The answer is **refund**.", "preamble", False),
    ("Kategorie: late delivery", "preamble", False),
    ("分類: refund", "preamble", False),
    ("refund please", "trailing text", False),
    ("refund\n\nThe customer wants the money back.", "trailing text", False),
    ("**Refund** - money back", "trailing text", False),
    ("refund 😀", "trailing text", False),
    ("billing or refund", "not in enumeration", False),
    ("Well, billing I suppose", "not in enumeration", False),
    ("refunds", "not in enumeration", False),
    ("refund_request", "not in enumeration", False),
    ("退款", "not in enumeration", False),
    ("😀", "not in enumeration", False),
    ("{}", "not in enumeration", False),
    ("\x00", "not in enumeration", False),
    ("re\u200bfund", "not in enumeration", False),
    ("rеfund", "not in enumeration", False),
    ("ref\nund", "not in enumeration", False),
    ("\x1b[31mrefund\x1b[0m", "not in enumeration", False),
    ("", "empty", False),
    (" \n\t ", "empty", False),
    ("I'm sorry, but I can't help with that.", "refusal", False),
    ("I cannot assist with this request.", "refusal", False),
    ("As an AI, I have no access to orders.", "refusal", False),
    ("Es tut mir leid, dabei kann ich nicht helfen.", "refusal", False),
    ("Lo siento, no puedo ayudar con eso.", "refusal", False),
    ("Je ne peux pas répondre.", "refusal", False),
    ("refund " * 40, "repetition loop", False),
    ("money back now. " * 100, "repetition loop", False),
    ("退款退款" * 30, "repetition loop", False),
    ("x" * 1_000_000, "repetition loop", False),
    ("The customer writes: " + "".join(map(str, range(200_000))), "not in enumeration", False),
]

OBJECTS = [
    ('{"label": "a"}', None, True),
    ('{"label": "a", "tags": ["x"], "n": 3}', None, True),
    ('\n{\n  "label": "b"\n}\n', None, True),
    ('{"label":"\\u0061"}', None, True),
    ('{"label": "a", "tags": ["ünïcödé", "😀", "日本語"]}', None, True),
    ('{"label": "b", "label": "a"}', None, True),
    (f'{FENCE}json\n{{"label": "a"}}\n{FENCE}', "fenced", True),
    (f'{FENCE}\n{{"label": "a"}}\n{FENCE}', "fenced", True),
    (f'{FENCE}JSON\n{{"label": "a",}}\n{FENCE}', "fenced", True),
    (f'{FENCE}json\n{{"label": "a"}}', "fenced", True),
    (f'{FENCE}json {{"label": "a"}} {FENCE}', "fenced", True),
    (f'Here it is:\n{FENCE}json\n{{"label": "a"}}\n{FENCE}\nDone.', "fenced", True),
    (f'{FENCE}json\n{{"label": "c"}}\n{FENCE}', "fenced", False),
    (f"{FENCE}\n{FENCE}", "fenced", False),
    ('Here you go: {"label": "a"}', "preamble", True),
    ('Sure! {"label": "a"} Hope this helps!', "preamble", True),
    ('<think>a or b?</think>{"label": "a"}', "preamble", True),
    ('Ich meine: {"label": "a",}', "preamble", True),
    ('As noted in [1], {"label": "a"}', "preamble", True),
    ('\ufeff{"label": "a"}', "preamble", True),
    ('Result: {"label": "c"}', "preamble", False),
    ('{"label": "a"} Hope this helps!', "trailing text", True),
    ('{"label": "a"}\n\nNote: {curly} words.', "trailing text", True),
    ('{"label": "a"}{"label": "b"}', "trailing text", True),
    ('{"label": "a"};', "trailing text", True),
    ('{"label": "a",}', "invalid syntax", True),
    ('{"label": "a", "tags": ["x", ], }', "invalid syntax", True),
    ("{'label': 'a'}", "invalid syntax", False),
    ("{label: a}", "invalid syntax", False),
    ('{"label": “a”}', "invalid syntax", False),
    ('{"label": "a" // why\n}', "invalid syntax", False),
    ("not JSON", "invalid syntax", False),
    ("label: a", "invalid syntax", False),
    ("{curly} words and [square] ones", "invalid syntax", False),
    ('{"label": a\u0000}', "invalid syntax", False),
    ('{"label": "a\nb"}', "invalid syntax", False),
    ('{"n": NaN, "label": "a"}', "invalid syntax", False),
    ('{"label": "a", "n": 01}', "invalid syntax", False),
    ('{"label": ', "truncated", False),
    ('{"label": "a', "truncated", False),
    ('{"label": "a", "tags": ["x"', "truncated", False),
    ("{", "truncated", False),
    ("{}", "missing key", False),
    ('{"n": 1}', "missing key", False),
    ('{"label": "a", "more": 1}', "extra key", False),
    ('{"Label": "a"}', "extra key", False),
    ('{"label": "c"}', "not in enumeration", False),
    ('{"label": "A"}', "not in enumeration", False),
    ('{"label": null}', "not in enumeration", False),
    ('{"label": "a", "n": "1"}', "wrong type", False),
    ('{"label": "a", "tags": ["x", 5]}', "wrong type", False),
    ("[]", "wrong type", False),
    ("12", "wrong type", False),
    ('"a"', "wrong type", False),
    ("null", "wrong type", False),
    ('[{"label": "a"}]', "wrong type", False),
    ('{"label": "a", "n": 0}', "json_schema", False),
    ("", "empty", False),
    ("I'm sorry, I cannot do that.", "refusal", False),
    ('{"a":' * 100_000, "repetition loop", False),
    ('{"tags": ["x", ' + '"x", ' * 200, "repetition loop", False),
    ('{"label": "' + "".join(map(str, range(200_000))) + '"}', "not in enumeration", False),
]

VALUES = [
    ("12", None, True),
    ('"text"', None, True),
    ("[" * 100 + "]" * 100, None, True),
    ("[" * 100_000, "repetition loop", False),
    ("[" * 5000 + "]" * 5000, "repetition loop", False),
    ("NaN", "invalid syntax", False),
    ("[1, -Infinity]", "invalid syntax", False),
    ("1" * 5000 + "2", "invalid syntax", False),
    ("True", "invalid syntax", False),
    ("1, 2", "invalid syntax", False),
]

XML = Rule("xml", ["reason", "answer"])
ELEMENTS = [
    ("<reason>r</reason><answer>a</answer>", None, True),
    ("<reason>r</reason>\n\n<answer>a</answer>", None, True),
    ("<reply><reason>r</reason><answer/></reply>", None, True),
    ("<reason>1 &lt; 2 é 日本</reason><more/><answer>😀</answer>", None, True),
    ("<?xml version='1.0'?><reason/><answer/>", None, True),
    ("<reason a='1'><![CDATA[<b>]]></reason><answer/>", None, True),
    (f"{FENCE}xml\n<reason/><answer/>\n{FENCE}", "fenced", True),
    ("Here: <reason/><answer/>", "preamble", True),
    ("5 < 6 & so: <reason/><answer/>", "preamble", True),
    ("<reason/><answer/> Bye", "trailing text", True),
    ("<reason/> then <answer/>", "trailing text", False),
    ("<reason/><answer>a", "truncated", False),
    ("<reason>r", "truncated", False),
    ("<reason/><answer>a</reason>", "invalid syntax", False),
    ("<reason>1 < 2</reason><answer/>", "invalid syntax", False),
    ("<reason>&nbsp;</reason><answer/>", "invalid syntax", False),
    ("<reason>\x00</reason><answer/>", "invalid syntax", False),
    ('<!DOCTYPE a [<!ENTITY e "x">]><reason/><answer>&e;</answer>', "preamble", False),
    ("<reason/>", "missing key", False),
    ("no tags at all", "missing key", False),
    ("<Reason/><Answer/>", "missing key", False),
    ("<answer/><reason/>", "xml", False),
]

CSV = Rule("csv", {"columns": ["name", "price"]})
COMMA_SEPARATED = [
    ("name,price\na,1\nb,2", None, True),
    ("name,price", None, True),
    ("name,price\r\na,1\r\n", None, True),
    ('name,price\n"a, b",1\n"c\nd",2', None, True),
    ('name,price\n"日本 😀",１', None, True),
    (f"{FENCE}csv\nname,price\na,1\n{FENCE}", "fenced", True),
    ("The table:\n\nname,price\na,1", "preamble", True),
    ("name,price\na,1\n\nHope this helps", "trailing text", True),
    ("name,price\na,1\nHope this helps", "invalid syntax", False),
    ("name,price\na,1,2", "invalid syntax", False),
    ("name,price\na", "invalid syntax", False),
    ('name,price\n"a,1', "invalid syntax", False),
    ("name\na", "missing key", False),
    ("name,price,more\na,1,2", "extra key", False),
    ("price,name\n1,a", "csv", False),
    ("name;price\na;1", "csv", False),
    ("just words", "csv", False),
    ("", "empty", False),
]

MARKDOWN = Rule("markdown", {"table": ["name", "price"]})
TABLES = [
    ("| name | price |\n|---|---|\n| a | 1 |", None, True),
    ("name | price\n:-- | --:\na | 1", None, True),
    ("Words before.\n\n| name | price |\n|---|---|\n| a | 1 |\n\nWords after.", None, True),
    ("| name | price |\n|---|---|\n| a \\| b | 日本 😀 |", None, True),
    ("| x | y |\n|---|---|\n\n| name | price |\n|---|---|", None, True),
    (f"{FENCE}\n| name | price |\n|---|---|\n| a | 1 |\n{FENCE}", "fenced", True),
    ("| name | price |\n|---|---|\n| a |", "invalid syntax", False),
    ("| name |\n|---|\n| a |", "missing key", False),
    ("| name | price | more |\n|---|---|---|", "extra key", False),
    ("| price | name |\n|---|---|", "markdown", False),
    ("| name | price |\n| a | 1 |", "markdown", False),
    ("name, price", "markdown", False),
]

CODE = [
    ("python", "def f(x):\n    return x + 1", None, True),
    ("python", "x = '\\d'", None, True),
    ("python", "名 = '😀'", None, True),
    ("python", f"{FENCE}python\nx = 1\n{FENCE}", "fenced", True),
    ("python", f"Here:\n\n{FENCE}py\nx = 1\n{FENCE}\n\nIt works.", "fenced", True),
    ("python", "x = ", "invalid syntax", False),
    ("python", "Here is the code you want", "invalid syntax", False),
    ("python", "x = 1\x00", "invalid syntax", False),
    ("python", "x = [" + ", ".join(map(str, range(150_000))) + "]", None, True),
    ("json", "[1, 2]", None, True),
    ("json", "Here: [1, 2]", "preamble", True),
    ("json", "[1, 2,]", "invalid syntax", True),
    ("yaml", "a: 1\nb: [x, y]", None, True),
    ("yaml", "- a\n- b", None, True),
    ("yaml", f"{FENCE}yaml\na: 1\n{FENCE}", "fenced", True),
    ("yaml", "a: [1", "invalid syntax", False),
    ("yaml", "a: 1\n\tb: 2", "invalid syntax", False),
    ("yaml", "only a sentence", "invalid syntax", False),
    ("sql", "SELECT a FROM t WHERE b = 'x'", None, True),
    ("sql", "WITH a AS (SELECT 1) SELECT * FROM a;", None, True),
    ("sql", "DELETE FROM t; DROP TABLE u", None, True),
    ("sql", f"{FENCE}sql\nSELECT 1\n{FENCE}", "fenced", True),
    ("sql", "SELECT * FORM t", "invalid syntax", False),
    ("sql", "hello world", "invalid syntax", False),
    ("sql", "refund", "invalid syntax", False),
    ("sql", "Here is the query: SELECT 1", "invalid syntax", False),
    ("sql", "SELECT ((((", "invalid syntax", False),
]

WORDING = [
    (Rule("regex", r"\d+"), "order 12", None, True),
    (Rule("regex", "^[A-Z]+$"), "AB", None, True),
    (Rule("regex", "^[A-Z]+$"), f"{FENCE}\nAB\n{FENCE}", "fenced", True),
    (Rule("regex", "^[A-Z]+$"), "ab", "regex", False),
    (Rule("lines", {"count": 2}), "a\n\nb", None, True),
    (Rule("lines", {"count": 2}), f"{FENCE}\na\nb\n{FENCE}", "fenced", True),
    (Rule("lines", {"count": 2}), "a", "lines", False),
    (Rule("lines", {"max": 1}), "a\r\nb", "lines", False),
    (Rule("lines", {"prefix": "- "}), "- a\n- b", None, True),
    (Rule("lines", {"prefix": "- "}), "- a\nb", "lines", False),
    (Rule("lines", {"longest": 3}), "abc\r\nab", None, True),
    (Rule("lines", {"longest": 3}), "abcd", "lines", False),
    (Rule("length", {"unit": "words", "max": 3}), "one two three", None, True),
    (Rule("length", {"unit": "words", "max": 3}), "one two three four", "length", False),
    (Rule("length", {"unit": "characters", "min": 3}), "日本", "length", False),
    (Rule("length", {"unit": "characters", "max": 1}), "😀", None, True),
    (Rule("length", {"unit": "sentences", "max": 1}), "It costs 3.50 today.", None, True),
    (Rule("length", {"unit": "sentences", "max": 1}), "One. Two!", "length", False),
    (Rule("length", {"unit": "sentences", "max": 1}), "一つ。二つ。", "length", False),
    (Rule("length", {"unit": "tokens", "max": 2}), "12345678", None, True),
    (Rule("length", {"unit": "tokens", "max": 2}), "123456789", "length", False),
    (Rule("language", "de"), "Das Geld kommt morgen zurück.", None, True),
    (Rule("language", "de"), "Your refund arrives tomorrow.", "wrong language", False),
    (Rule("language", "de"), "注文はまだ届いていません", "wrong language", False),
    (Rule("language", "de"), "refund", None, True),
    (Rule("language", "de"), "17 😀", None, True),
    (Rule("contains", ["refund", "money"]), "A REFUND of your money.", None, True),
    (Rule("contains", ["refund"]), "refunds", "contains", False),
    (Rule("contains", ["C++"]), "in C++, say", None, True),
    (Rule("avoids", ["will refund"]), "We would refund you", None, True),
    (Rule("avoids", ["will refund"]), "We WILL REFUND you", "avoids", False),
    (Rule("avoids", ["退款"]), "我们会退款给您", "avoids", False),
]


def read(rule, text, stop="end"):
    case = Case(id="a", location="c.jsonl:7", input="q", score=Rule("exact"), format=(rule,))
    return FormatChecker(Path()).find_error(case, Reply(text=text, stop=stop))


SHAPES = [
    *((CHOICE, *one) for one in LABELS),
    *((TICKET, *one) for one in OBJECTS),
    *((ANYTHING, *one) for one in VALUES),
    *((XML, *one) for one in ELEMENTS),
    *((CSV, *one) for one in COMMA_SEPARATED),
    *((MARKDOWN, *one) for one in TABLES),
    *((Rule("code", language), *one) for language, *one in CODE),
    *WORDING,
]


@every_row(("rule", "text", "kind", "lenient"), SHAPES)
def test_a_reply_has_at_most_one_format_error_strict_or_lenient(rule, text, kind, lenient):
    error = read(rule, text)

    assert (error and error.kind, error is None or error.lenient) == (kind, lenient)
