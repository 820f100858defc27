"""JavaScript of a suite: what its values mean, and that whatever it does is no wrong answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import ChainMap
from pathlib import Path
from shutil import which
from textwrap import dedent

import pytest
from ftgate_testing.suite_files import Like, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.scoring import javascript
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.scoring.javascript import end_javascript
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.scoring.scores import validate_rules
from pytest_ftgate.suite import javascript as declared
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

pytestmark = pytest.mark.skipif(which("node") is None, reason="there is no node on the PATH")


@pytest.fixture(autouse=True, scope="module")
def _no_process_stays():
    yield
    end_javascript()


def case_of(rule, **parts):
    keys = {"expected": "refund", "vars": {"city": "Bonn"}, **parts}
    return Case(**{"id": "a", "location": "c.jsonl:7", "input": "q", **keys}, score=rule)


def code(text, **options):
    return Rule("javascript", text, options)


def score(rule, reply="refund", **parts):
    reply = reply if isinstance(reply, Reply) else Reply(text=reply)
    return score_content(case_of(rule, **parts), reply, Path())


def error_of(rule, reply="refund"):
    with pytest.raises(ScorerError) as raised:
        score(rule, reply)
    prefix = 'score: javascript broke on case "a" (c.jsonl:7): '
    assert str(raised.value).startswith(prefix)
    return str(raised.value).removeprefix(prefix)


def format_error(rule, reply="refund"):
    case = Case(id="a", location="c.jsonl:7", input="q", score=Rule("exact"), format=(rule,))
    return FormatChecker(Path()).find_error(case, Reply(text=reply))


# What code may be ------------------------------------------------------------------------------

BODY = "if (output === context.vars.expected) {\n  return true;\n}\nreturn false;"
#: Code that says of the reply "refund", and of no other, that it is right.
RIGHT = [
    "output === 'refund'",
    "output === 'refund';",
    "output === 'refund' // a comment",
    "// a comment\noutput\n  === 'refund'",
    "return output === 'refund'",
    "if (output === 'refund') return true; return false;",
    "console.log(output); return output === 'refund';",
    BODY,
    "const text = output.trim(); text === 'refund';",
    "let n = output.length; n += 1; n === 7",
    "const f = (text) => { return text === 'refund'; }; f(output)",
    "const mark = ';'; output + mark === 'refund;'",
    "const same = output === 'refund'; return same;",
    "({pass: output === 'refund', score: 1, reason: 'other'})",
    "{pass: output === 'refund', score: 1, reason: 'other'}",
    "Promise.resolve(output === 'refund')",
    "(async () => { await null; return output === 'refund' })()",
    "new Promise((done) => setTimeout(() => done(output === 'refund'), 5))",
    "output === context.vars.expected && context.vars.city === 'Bonn'",
    "output === context.vars.expected && context.vars.input === 'q'",
    "output === context.test.vars.expected && context.test.description === 'a'",
    "output === 'refund' && context.prompt === 'q' && context.config.most === undefined",
    "output === context.vars.expected && context.providerResponse.finishReason === 'stop'",
]


@every_row("text", RIGHT)
def test_code_is_an_expression_or_declarations_or_a_body(text):
    assert [score(code(text), reply).value for reply in ("refund", "refunds")] == [1.0, 0.0]


def test_the_reply_is_as_the_model_wrote_it():
    odd = " \u2028\x00\"'\\`${output}\r\n%s {{ x }} </script> İß "
    rule = code("output === context.vars.odd")

    assert score(rule, odd, vars={"odd": odd}).value == 1.0


def test_a_reply_that_only_calls_tools_is_their_list():
    call = ToolCall(name="find", arguments={"id": 7})
    text = "output[0].function.name === 'find' && JSON.parse(output[0].function.arguments).id === 7"
    reply = Reply(text="", steps=(Step("", (call,)),), stop="tool")

    assert score(code(text), reply).value == 1.0
    assert (
        FormatChecker(Path()).find_error(
            Case(id="a", location="", input="q", score=Rule("exact"), format=(code(text),)), reply
        )
        is None
    )


@every_row(("stop", "reason"), [("length", "length"), ("refusal", "content_filter")])
def test_a_score_reads_replies_that_were_cut_off_or_refused(stop, reason):
    rule = code(f"context.providerResponse.finishReason === '{reason}'")

    assert score(rule, Reply(text="I", stop=stop)).value == 1.0


# What values mean ------------------------------------------------------------------------------

#: A value, the options, its score, and whether the format holds.
VALUES = [
    ("true", {}, 1.0, True),
    ("false", {}, 0.0, False),
    ("1", {}, 1.0, True),
    ("0.25", {}, 0.25, True),
    ("0", {}, 0.0, False),
    ("0.25", {"threshold": 0.25}, 1.0, True),
    ("0.25", {"threshold": 0.3}, 0.0, False),
    ("-3", {"threshold": -4.0}, 1.0, True),
    ("70", {"threshold": 60}, 1.0, True),
    ("({pass: true})", {}, 1.0, True),
    ("({pass: true, score: 0.5, reason: ''})", {}, 0.5, True),
    ("({pass: false, score: 0.5, reason: ''})", {}, 0.0, False),
    ("({pass: true, score: 0.5, reason: ''})", {"threshold": 0.9}, 1.0, True),
    ("({pass: false, score: 1, reason: ''})", {"threshold": 0.1}, 0.0, False),
    ("({pass: true, score: 40, reason: null})", {"threshold": 0.1}, 1.0, True),
    ("true", {"inverse": True}, 0.0, False),
    ("false", {"inverse": True}, 1.0, True),
    ("0", {"inverse": True}, 1.0, True),
    ("70", {"inverse": True}, 0.0, False),
    ("70", {"inverse": True, "threshold": 71.0}, 1.0, True),
    ("({pass: false})", {"inverse": True}, 1.0, True),
    ("null.x", {"inverse": True, "throws": "wrong"}, 0.0, False),
]


@every_row(("text", "options", "value", "holds"), VALUES)
def test_a_value_is_a_score_and_decides_a_format(text, options, value, holds):
    rule = code(text, **options)

    assert (score(rule).value, format_error(rule) is None) == (value, holds)


@every_row(
    ("text", "reason"),
    [
        ("({pass: false, reason: 'too\\nlong'})", "too\nlong"),
        ("({pass: false})", "({pass: false}): false"),
        ("output.length > 9", "output.length > 9: false"),
        ("0", "0: 0"),
        ("({pass: false, reason: 'x'.repeat(9999)})", "x" * 2000),
        ("({pass: false, reason: '\\ud800'})", "\ufffd"),
    ],
)
def test_a_wrong_reply_has_the_reason_of_the_code(text, reason):
    assert score(code(text)).reason == reason
    assert format_error(code(text)) == FormatError("javascript", reason, ("javascript",))


#: Values that are no score, and how the error shows them.
NO_SCORES = {
    "undefined": "undefined",
    "null": "null",
    "NaN": "NaN",
    "1 / 0": "Infinity",
    "'true'": "'true'",
    "[true]": "[ true ]",
    "10n": "10n",
    "({score: 1})": "{ score: 1 }",
    "({pass: 1, score: 1, reason: ''})": "{ pass: 1, score: 1, reason: '' }",
    "({pass: true, score: NaN})": "{ pass: true, score: NaN }",
    "({pass: true, score: '1'})": "{ pass: true, score: '1' }",
    "() => true": "[Function (anonymous)]",
    "const n = 1": "undefined",
}


@every_row(("text", "shown"), NO_SCORES.items())
def test_a_value_that_is_no_score_is_an_error_of_score_and_format(text, shown):
    wanted = "return true, false, a number, or {pass, score, reason}"
    message = f"{text}: returned {shown}; {wanted}"

    assert error_of(code(text)) == message
    with pytest.raises(ScorerError, match="format: javascript broke on case"):
        format_error(code(text))


@every_row(("text", "shown"), NO_SCORES.items())
def test_no_score_is_a_wrong_reply_where_an_exception_is_unless_it_is_a_function(text, shown):
    rule = code(text, throws="wrong")
    if "Function" in shown:
        assert error_of(rule) == Like(f"{text}: returned {shown}; ...")
    else:
        assert score(rule) == (0.0, Like(f"returned {shown}; return true, ..."))
        assert format_error(rule).kind == "javascript"
        assert score(code(text, throws="wrong", inverse=True)).value == 0.0


@every_row(
    ("text", "message"),
    [
        ("7", "7: returned 7, but a score is 0 to 1; write threshold: N, and ..."),
        ("-0.5", "-0.5: returned -0.5, but a score is 0 to 1; ..."),
        ("({pass: true, score: 0})", "...: returned pass: true with score: 0; leave score out..."),
    ],
)
def test_a_score_is_no_number_beyond_0_to_1_and_contradicts_itself_nowhere(text, message):
    assert error_of(code(text)) == Like(message)


# Code that fails -------------------------------------------------------------------------------

WRONG = "; where that means a wrong reply, write throws: wrong"
#: Code that fails, the error, and whether it may say that the reply is wrong.
FAILURES = [
    ("JSON.parse(output)", "SyntaxError: Unexpected token ...", True),
    ("output.match(/(\\d)/)[1] === '1'", "TypeError: Cannot read propert...", True),
    ("throw new Error('no city')", "Error: no city", True),
    ("throw null", "null", True),
    ("Promise.reject(new Error('late'))", "Error: late", True),
    ("({get pass() { throw 'sly' }})", "'sly'", True),
    ("outptu.length", "ReferenceError: outptu is not defined", False),
    ("new Function('(')", "SyntaxError: ...", False),
    ("require('fs')", "ReferenceError: require is not defined", False),
]


@every_row(("text", "error", "may_be_wrong"), FAILURES)
def test_an_exception_is_an_error_unless_it_is_said_to_mean_a_wrong_reply(
    text, error, may_be_wrong
):
    assert error_of(code(text)) == Like(f"{text}: {error}{WRONG * may_be_wrong}")
    if may_be_wrong:
        assert score(code(text, throws="wrong")) == (0.0, Like(error))
        assert format_error(code(text, throws="wrong")).kind == "javascript"
    else:
        assert error_of(code(text, throws="wrong")) == Like(f"{text}: {error}")


#: Code that leaves its process useless, and how the error begins.
ENDS = [
    ("while (true) {}", "took longer than 0.5 s"),
    ("new Promise(() => {})", "took longer than 0.5 s"),
    ("process.exit(3)", "ended Node.js, with exit code 3"),
    ("process.exit()", "ended Node.js, with exit code 0"),
    ("process.kill(process.pid, 'SIGKILL')", "ended Node.js, with exit code -9"),
]


@every_row(("text", "error"), ENDS)
def test_code_that_never_ends_or_ends_the_process_is_an_error_and_the_next_runs(text, error):
    assert error_of(code(text, seconds=0.5, throws="wrong")) == f"{text}: {error}"
    assert score(code("output === 'refund'")).value == 1.0


FS = "process.mainModule.require('fs')"
#: Code that says what no caller asked for, and is right all the same.
NOISY = [
    "console.log('{\"pass\": false}') || true",
    "console.error('x') || true",
    "process.stdout.write('x') && true",
    f"{FS}.writeSync(1, 'no end of a line') > 0",
    f"{FS}.writeSync(1, '\\n{{\"pass\": false}}\\n') > 0",
    f"{FS}.writeSync(1, 'x'.repeat(300000)) > 0",
    "console.log('x'.repeat(1e6)) || true",
]


@every_row("text", NOISY)
def test_what_code_prints_is_no_answer(text):
    assert score(code(text)).value in (1.0, None) or text.startswith(FS)
    assert score(code("output === 'refund'")).value == 1.0


def test_an_answer_that_comes_too_late_is_none_to_the_next_reply():
    late = "setTimeout(() => { throw new Error('stray') }, 1); "
    slow = "new Promise((done) => setTimeout(() => done(true), 30))"

    assert error_of(code(f"return ({late.rstrip('; ')}, {slow})")) == Like("...: Error: stray")
    assert score(code("new Promise((done) => setTimeout(() => done(false), 60))")).value == 0.0


def test_the_process_knows_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    end_javascript()

    held = score(code("Object.keys(process.env).every((n) => 'PATH LD_LIBRARY_PATH'.includes(n))"))

    assert held.value == 1.0


# Files -----------------------------------------------------------------------------------------

FILES = {
    "whole.mjs": "export default (output, context) => output === context.vars.expected;",
    "named.mjs": "export const same = async (output) => output === 'refund';",
    "inner.mjs": "export default {same: (output) => output === 'refund'};",
    "whole.cjs": "module.exports = (output) => output === 'refund';",
    "named.js": "module.exports = {same: (output) => output === 'refund', n: 7};",
    "beside.mjs": "import {same} from './named.mjs'; export default same;",
    "broken.mjs": "export default (",
    "throws.mjs": "throw new Error('at once');",
}


def file_rule(folder, name, function=None):
    write_files(folder, FILES)
    options = {"file": name, **({"function": function} if function else {})}
    return Rule("javascript", {name: "sha"}, options, path=folder / name)


@every_row(
    ("name", "function"),
    [
        ("whole.mjs", None),
        ("named.mjs", "same"),
        ("inner.mjs", "same"),
        ("whole.cjs", None),
        ("named.js", "same"),
        ("beside.mjs", None),
    ],
)
def test_a_file_exports_its_function_in_any_way(tmp_path, name, function):
    rule = file_rule(tmp_path, name, function)

    assert [score(rule, reply).value for reply in ("refund", "other")] == [1.0, 0.0]


@every_row(
    ("name", "function", "error"),
    [
        ("named.js", None, "named.js: TypeError: the file exports no function by itself; name..."),
        ("named.js", "n", 'named.js:n: TypeError: the file exports no function "n"'),
        ("broken.mjs", None, "broken.mjs: SyntaxError: Unexpected ..."),
        ("throws.mjs", None, "throws.mjs: Error: at once"),
        ("gone.mjs", None, "gone.mjs: Error: Cannot find module ..."),
    ],
)
def test_a_file_that_cannot_be_loaded_is_an_error_before_the_first_request(
    tmp_path, name, function, error
):
    rule = file_rule(tmp_path, name, function)

    with pytest.raises(ConfigurationError) as raised:
        validate_rules([case_of(rule)], tmp_path)
    assert str(raised.value) == Like(f"javascript: {error}")


def test_code_that_does_not_parse_is_an_error_before_the_first_request(tmp_path):
    for case in (case_of(code("output.includes(")), case_of(Rule("exact"), format=(code("a b"),))):
        with pytest.raises(ConfigurationError, match=r"javascript: .*: SyntaxError"):
            validate_rules([case], tmp_path)


# The process -----------------------------------------------------------------------------------


def processes():
    found = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True)
    own = (line.split(maxsplit=1) for line in found.stdout.splitlines())
    return [args for ppid, args in own if ppid == str(os.getpid()) and "javascript_child" in args]


@pytest.mark.skipif(which("ps") is None, reason="there is no ps")
def test_one_process_serves_all_calls_and_ends_without_a_trace():
    end_javascript()
    assert processes() == []
    for text in ("true", "false", "0.5"):
        score(code(text))
    assert len(processes()) == 1

    end_javascript()

    assert processes() == []


ORPHAN = """
import os, signal
from tests_of_javascript import code, score
score(code("true"))
pid = int(score(code("process.pid / 1e9")).value * 1e9 + 0.5)
print(pid, flush=True)
{ending}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@every_row("ending", ["pass", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_process_ends_with_the_one_that_started_it(tmp_path, ending):
    (tmp_path / "tests_of_javascript.py").write_text(Path(__file__).read_text())
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", dedent(ORPHAN).format(ending=ending)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )

    assert is_gone(int(run.stdout))


def is_gone(pid):
    """Wait until the process *pid* is gone, for ten seconds at most."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_an_older_node_is_named_with_the_version_that_is_needed(monkeypatch):
    end_javascript()
    monkeypatch.setattr(javascript, "LEAST_NODE", 999)

    assert error_of(code("true")) == Like(
        "... is v...; it needs Node.js ... or later on the PATH..."
    )


def test_without_node_a_score_says_what_it_needs(monkeypatch):
    end_javascript()
    monkeypatch.setattr(os, "environ", ChainMap({"PATH": ""}, os.environ))

    assert declared.node_path() is None
    assert error_of(code("true")) == declared.NEEDS_NODE
