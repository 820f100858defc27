"""Code of a model: run against tests, and kept from everything but its own folder."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from importlib import import_module
from pathlib import Path
from platform import machine
from shutil import copy, which
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring import sandbox
from pytest_ftgate.scoring.sandbox import score_code
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.scoring.scores import validate_rules
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

ADD = "def add(a, b):\n    return a + b"
BARE = {"sandbox": "none"}
#: Windows has no such module.
r = None if sys.platform == "win32" else import_module("resource")

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
BOTH = pytest.mark.parametrize(
    "options", [pytest.param({}, marks=linux), BARE], ids=["shut", "not"]
)


def case_of(expected, options=None, tests=None):
    rule = Rule(
        "code", tests, {"seconds": 3, **({"tests": "t.py"} if tests else {}), **(options or {})}
    )
    return Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=rule)


def score_reply(reply, expected=None, options=None, tests=None):
    """Mark the code of *reply*; without a test of its own it need only end."""
    case = case_of(expected if expected or tests else "pass", options, tests)
    return score_content(case, Reply(text=reply), Path())


def fenced(code):
    return f"Here:\n\n```python\n{code}\n```\nIt adds."


# What is run ---------------------------------------------------------------------------------

#: Replies with tests that they pass.
HELD = [
    (ADD, "assert add(2, 2) == 4"),
    (fenced("def add(a, b): 1") + fenced(ADD), "assert add(1, 2) == 3"),
    (ADD, "def test_it():\n    assert add(2, 2) == 4"),
    (ADD, "from reply import add\nassert add(1, 1) == 2"),
    # A class needs a module of its own.
    ("from dataclasses import dataclass as d\n@d\nclass P:\n    x: 'int'", "assert P(1) == P(1)"),
    ("def größe(): return '😀'", "assert größe() == '😀'"),
    # Neither what stands behind a guard is run, nor a test of the model's own.
    (f"{ADD}\nif __name__ == '__main__':\n    raise SystemExit(1)", "assert add(1, 1) == 2"),
    (f"{ADD}\ndef test_mine():\n    assert False", "assert add(1, 1) == 2"),
    ("open('a', 'w').write('x')", "assert open('a').read() == 'x'"),
    ("import asyncio\nasync def f(): return 1", "assert asyncio.run(f()) == 1"),
    ("import concurrent.futures as c", "assert [*c.ThreadPoolExecutor(2).map(str, [1])] == ['1']"),
    ("import sqlite3\nd = sqlite3.connect('a.db')\nd.execute('create table t (x)')\nd.commit()",
     "assert d.execute('select count(*) from t').fetchone() == (0,)"),
    ("import numpy as np", "assert (np.ones((9, 9)) @ np.ones(9)).sum() == 81"),
    ("import shutil, tempfile\nd = tempfile.mkdtemp()\nopen(d + '/a', 'w').write('x')",
     "assert open(shutil.copyfile(d + '/a', 'b')).read() == 'x'; shutil.rmtree(d)"),
    ("print('x' * 10_000_000)", "pass"),
]  # fmt: skip


@BOTH
@every_row(("reply", "tests"), HELD)
def test_code_is_correct_if_its_tests_pass(reply, tests, options):
    assert score_reply(reply, tests, options) == (1.0, "")


SHOWS_NOTHING = "class E(Exception):\n    def __str__(self): raise E\nraise E"
#: Replies with tests that they fail, and how the reason begins.
BROKEN = [
    (ADD, "assert add(2, 2) == 5", "tests.py:1: assert add(2, 2) == 5: Assert"),
    (ADD, "def test_it():\n    assert add(2, 2) == 5, 'five'",
     "tests.py:2: assert add(2, 2) == 5, 'five': AssertionError: five"),
    ("def add(a, b):\n    return a / 0", "add(1, 2)",
     "reply.py:2: return a / 0: ZeroDivisionError: division by zero"),
    ("", "add(1, 2)", "tests.py:1: add(1, 2): NameError: name 'add' is not defined"),
    ("def add(", "pass", "reply.py:1: SyntaxError: '(' was never closed"),
    ("a = 1\0", "pass", "SyntaxError: source code string cannot contain null bytes"),
    ("import sys\nsys.exit(0)", "pass", "reply.py:2: sys.exit(0): "),
    ("import os\nos._exit(0)", "pass", "ended before its tests had"),
    ("import ctypes\nctypes.string_at(0)", "pass", "ended before its tests had"),
    (SHOWS_NOTHING, "pass", "reply.py:3: raise E: reply.E: <exception str() failed>"),
]  # fmt: skip


@every_row(("reply", "tests", "why"), BROKEN)
def test_code_is_incorrect_if_a_test_fails_and_the_reason_is_the_last_line(reply, tests, why):
    mark = score_reply(reply, tests, BARE)

    assert mark.value == 0
    assert mark.reason.startswith(why)


def test_the_tests_of_the_suite_come_before_those_of_the_case():
    tests = "def check(n):\n    assert add(n, n) == 2 * n"

    assert score_reply(ADD, "check(3)", tests=tests).value == 1
    assert score_reply(ADD, "check(3); assert add(1, 1) == 3", tests=tests).value == 0
    assert score_reply(ADD, tests=f"{tests}\ncheck(3)").value == 1


NO_JSON = "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)"
FAILURES = [
    # An error outside of the code is told at the line of the code.
    ("\nraise SystemExit(3)", "reply.py:2: raise SystemExit(3): SystemExit: 3"),
    ("import json\njson.loads('[')", f"reply.py:2: json.loads('['): {NO_JSON}"),
    ("class E(Exception): pass\nE.__module__ = 'm'\nraise E", "reply.py:3: raise E: m.E"),
    ("compile('x =', 'other.py', 'exec')",
     "reply.py:1: compile('x =', 'other.py', 'exec'): SyntaxError: invalid syntax"),
    # Annotations are those of the code alone.
    ("def f(x: no_name): pass",
     "reply.py:1: def f(x: no_name): pass: NameError: name 'no_name' is not defined"),
    # A line that is no text is told all the same.
    ("# coding: latin-1\nx = '\ud800'; 1 / 0",
     "reply.py:2: x = '\ufffd\ufffd\ufffd'; 1 / 0: ZeroDivisionError: division by zero"),
]  # fmt: skip


def test_a_failure_is_told_in_at_most_500_characters():
    told = f"reply.py:1: assert False, {'x' * 600!r}"[:500]

    assert outcome(f"assert False, {'x' * 600!r}") == told


@every_row(("code", "told"), FAILURES)
def test_a_failure_is_told_with_its_line(code, told):
    assert score_code(code, ["pass"], Rule("code", None, BARE)).reason == told


def test_functions_of_the_tests_run_in_their_order_until_one_fails():
    tests = (
        "ran = []\ndef test_b(): ran.append('b')\ndef check(): 1 / 0\n"
        "test_data = [1 / 1]\ndef test_a():\n    assert ran == ['b']\n"
        "def test_c(): raise ValueError(ran)\ndef test_d(): 1 / 0"
    )

    told = "tests.py:7: def test_c(): raise ValueError(ran): ValueError: ['b']"
    assert score_reply(ADD, tests).reason == told


def test_without_any_tests_there_is_no_score():
    assert score_content(case_of(None), Reply(text=ADD), Path()).value is None


#: Calls the kernel directly; a refusal is an error.
SYSCALL = """import ctypes, os
from ctypes import c_long
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall({}) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))"""


# Where it runs -------------------------------------------------------------------------------

LOOK = """
import os, resource as r, sys
def limits():
    kinds = (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_CORE, r.RLIMIT_NOFILE, r.RLIMIT_AS)
    return [r.getrlimit(kind) for kind in kinds]
"""


def limits(*wanted):
    """Return the limits that are *wanted*, as far as this process may have them."""
    kinds = (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_CORE, r.RLIMIT_NOFILE, r.RLIMIT_AS)
    hard = [r.getrlimit(kind)[1] for kind in kinds]
    return [
        (wish, wish) if most == r.RLIM_INFINITY else (min(wish, most),) * 2
        for wish, most in zip(wanted, hard, strict=True)
    ]


@linux
@BOTH
@every_row(
    ("own", "seconds", "memory"),
    [({}, 5, 1024), ({"seconds": 2.5}, 2, 1024), ({"memory_mb": 300}, 5, 300)],
)
def test_a_run_has_the_limits_of_its_rule(options, own, seconds, memory):
    wanted = limits(seconds + 2, 4 << 20, 0, 64, memory << 20)
    rule = Rule("code", None, options | own)

    assert score_code(LOOK, [f"assert limits() == {wanted}, limits()"], rule) == (1.0, "")


@linux
def test_a_run_keeps_the_lower_limits_of_the_process_that_starts_it(tmp_path):
    (tmp_path / "reply.py").write_text(LOOK)
    (tmp_path / "tests.py").write_text("assert limits()[3] == (32, 32) and limits()[2] == (0, 0)")
    ended = subprocess.run(
        [sys.executable, "-I", sandbox.sandbox_child.__file__, tmp_path, "9", "1024", "none"],
        check=True,
        input=b"token",
        capture_output=True,
        preexec_fn=lambda: r.setrlimit(r.RLIMIT_NOFILE, (32, 32)),
    )

    assert ended.stdout == b'ready\ntoken""'


@BOTH
@every_row("libraries", [None, "/libraries"])
def test_a_run_has_a_folder_and_an_environment_of_its_own(monkeypatch, options, libraries):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    if libraries:
        monkeypatch.setenv("LD_LIBRARY_PATH", libraries)
    look = (
        "import os, sys\nhere = os.environ.pop('HOME')\n"
        "assert here == os.environ.pop('TMPDIR') == os.getcwd(), here\n"
        f"assert os.environ.pop('LD_LIBRARY_PATH', None) == {libraries!r}\n"
        # Python sets it where it finds no locale.
        "os.environ.pop('LC_CTYPE', None)\nassert not os.environ, os.environ\n"
        "assert sys.flags.isolated and sys.flags.utf8_mode\n"
        "assert sorted(os.listdir()) == ['reply.py', 'tests.py'] and 'ftgate-' in here"
    )

    assert outcome(look, options) == "done"


def test_a_process_that_cannot_start_prints_nothing(monkeypatch, capfd):
    monkeypatch.setattr(sandbox.sandbox_child, "__file__", "/no/such/file.py")

    assert outcome("x = 'not run'") == "ended before its tests had, with exit code 2"
    assert capfd.readouterr() == ("", "")


@linux
def test_a_run_ends_with_the_process_that_started_it(tmp_path):
    mark = tmp_path / "mark"
    code = "import os, time\nopen('mark', 'w').write(str(os.getpid()))\ntime.sleep(20)"
    (tmp_path / "reply.py").write_text(code)
    (tmp_path / "tests.py").write_text("")
    child = [sandbox.sandbox_child.__file__, str(tmp_path), "9", "1024", ""]
    start = (
        f"import subprocess as s, sys\ns.run([sys.executable, '-I', *{child!r}], input=b'token')"
    )

    with subprocess.Popen([sys.executable, "-c", start], cwd=tmp_path) as parent:
        assert comes(lambda: mark.is_file() and mark.read_text())
        parent.kill()

    assert comes(lambda: not runs(int(mark.read_text())))


def comes(condition):
    """Wait until *condition* holds, which is soon, or for ten seconds."""
    begun = time.monotonic()
    while not (met := condition()) and time.monotonic() - begun < 10:
        time.sleep(0.01)
    return met


def runs(pid):
    """Return True if the process has not ended; nobody may have asked for its exit code yet."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


# What it is kept from ------------------------------------------------------------------------


def outcome(attempt, options=None):
    """Return what became of code that does what it should not."""
    mark = score_reply(attempt, options=options)
    return "done" if mark.value else mark.reason


@linux
@every_row(
    "attempt",
    ["open({0!r}, 'w')", "import os; os.remove({0!r})", "import os; os.truncate({0!r}, 0)",
     "import os; os.chmod({0!r}, 0)", "import os; os.link({0!r}, 'mine')",
     "import os; os.utime({0!r}, (0, 0))"],
)  # fmt: skip
def test_no_file_of_this_machine_can_be_changed(tmp_path, attempt):
    file = tmp_path / "kept.txt"
    file.write_text("kept")
    before = file.stat()

    told = outcome(attempt.format(str(file)))

    assert "Error" in told
    assert file.read_text() == "kept"
    assert (file.stat().st_mode, file.stat().st_mtime) == (before.st_mode, before.st_mtime)


@linux
@every_row("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_no_server_can_be_reached_not_even_on_this_machine(tmp_path, family):
    at = {"AF_INET": ("127.0.0.1", 0), "AF_INET6": ("::1", 0)}.get(family, str(tmp_path / "s"))
    with socket.socket(getattr(socket, family)) as server:
        server.bind(at)
        server.listen()
        where = server.getsockname()
        attempt = f"import socket\nsocket.socket(socket.{family}).connect({where!r})"

        assert "PermissionError" in outcome(attempt)
        # The same code reaches it where it is not shut in.
        assert outcome(attempt, BARE) == "done"


@pytest.fixture(params=["own", "nobody"])
def user(request):
    """A user, who runs code in the sandbox: the one of the tests, and an ordinary one beside root.

    The result is the number of the user, and what returns what became of code.
    """
    if request.param == "own":
        yield None, outcome
        return
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can become another user; the other tests run as an ordinary one")
    python = which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python here that every user may run")
    # Not below the folder of pytest, which no other user may enter.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        child = copy(sandbox.sandbox_child.__file__, folder)
        Path(child).chmod(0o644)

        def run(code: str) -> str:
            Path(folder, "reply.py").write_text(code)
            Path(folder, "tests.py").write_text("")
            ended = subprocess.run(
                [python, "-I", child, folder, "9", "1024", ""], check=True, user=65534,
                group=65534, cwd=folder, input=b"token", capture_output=True,
            )  # fmt: skip
            told = ended.stdout.decode().removeprefix("ready\ntoken")
            return "done" if told == '""' else told

        yield 65534, run


REFUSED_TO_ALL = (
    *(f"open({path!r}).read()" for path in (f"/proc/{os.getpid()}/environ", "/proc/self/environ")),
    "open('/etc/passwd').read()", f"open({__file__!r}).read()", "open('../x', 'w')",
    "import os; os.fork()", "import subprocess; subprocess.run(['/bin/true'])",
    "import os; os.execv('/bin/true', ['true'])", "import os; os.kill(os.getppid(), 0)",
    "import os; os.kill(-1, 0)", "import os; os.setsid()",
    "import multiprocessing as m; m.Pool(1)", "import socket; socket.socket()",
    "import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))",
    "import os; os.sched_setaffinity(os.getppid(), [0])",
    "import ctypes; assert not ctypes.CDLL(None).unshare(0x10000000), 'PermissionError'",
)  # fmt: skip


#: Makes each attempt; what is not refused is told.
ATTEMPTS = f"""done = []
for attempt in {REFUSED_TO_ALL!r}:
    try:
        exec(attempt)
        done.append(attempt)
    except BaseException as error:
        told = f'{{type(error).__name__}}: {{error}}'
        if 'PermissionError' not in told and 'not allowed' not in told:
            done.append(f'{{attempt}}: {{told}}')
assert not done, done"""


@linux
def test_no_file_process_or_socket_outside_can_be_reached_and_no_limit_raised(user):
    assert user[1](ATTEMPTS) == "done"


#: 20 asks for the own process here, and is an allowed call elsewhere.
OLDER_CALL = (
    "import ctypes as c, mmap\nm = mmap.mmap(-1, 4096, prot=7)\n"
    "m.write(bytes.fromhex('b814000000cd80c3'))\n"
    "call = c.CFUNCTYPE(c.c_int)(c.addressof(c.c_char.from_buffer(m)))\nassert call() < 0, call()"
)
SIGNALS_ITSELF = (
    "import os, signal, threading as t\nos.kill(os.getpid(), 0)\n"
    "signal.pthread_kill(t.get_ident(), 0)"
)
ALLOWED_TO_ALL = (
    "open('a', 'w').write('x')",
    "import sys\nassert sys.stdin.read() == ''",
    SIGNALS_ITSELF,
    *[OLDER_CALL] * (machine() == "x86_64"),
)


@linux
@every_row("attempt", ALLOWED_TO_ALL)
def test_the_own_folder_can_be_written_and_the_own_process_signalled(user, attempt):
    assert user[1](attempt) == "done"


PIPE = "import fcntl, os, struct\nr, w = os.pipe()\n"
RINGS = "fcntl.fcntl(r, 4, fcntl.fcntl(r, 3) | os.O_ASYNC | os.O_NONBLOCK); os.write(w, b'x')"
SIGNALS = [
    # As the owner of a pipe, by a structure and by ioctl.
    f"{PIPE}fcntl.fcntl(r, 8, PID); fcntl.fcntl(r, 10, 9)\n{RINGS}",
    f"{PIPE}fcntl.fcntl(r, 15, struct.pack('ii', 1, PID))",
    f"{PIPE}fcntl.ioctl(r, 0x8901, struct.pack('i', PID))",
    "import os\nos.kill(PID, 9)",
    "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(PID), 9)",
    # By a queue, and by an argument with other high bits.
    SYSCALL.format("129, PID, 9, bytes(128)"),
    SYSCALL.format("62, c_long(PID), 9"),
]


@pytest.mark.slow
@linux
@every_row("attempt", SIGNALS)
def test_no_signal_reaches_another_process(user, attempt):
    number, run = user
    with subprocess.Popen(["sleep", "60"], user=number) as victim:
        told = run(attempt.replace("PID", str(victim.pid)))

        assert "PermissionError" in told
        with pytest.raises(subprocess.TimeoutExpired):
            victim.wait(0.05)
        victim.kill()


#: What the kernel says to calls that no list allows: libraries try new ones, and then older ones.
SOCKETPAIR = "53 if os.uname().machine == 'x86_64' else 199"
PRLIMIT = "302 if os.uname().machine == 'x86_64' else 261"
REFUSED = [
    ("462", "[Errno 1]"),
    ("463", "[Errno 38]"),
    # The flags of a new thread are not seen.
    ("435, 0, 0", "[Errno 38]"),
    # New limits behind a pointer whose low half is zero.
    (f"{PRLIMIT}, 0, 9, c_long(1 << 32), None", "[Errno 1]"),
    # A pair of datagram sockets, and one of sockets of the network.
    (f"{SOCKETPAIR}, 1, 2, 0, bytes(8)", "[Errno 1]"),
    (f"{SOCKETPAIR}, 2, 1, 0, bytes(8)", "[Errno 1]"),
]


@linux
@every_row(("call", "error"), REFUSED)
def test_other_calls_are_refused_as_forbidden_or_as_missing(call, error):
    assert error in outcome(SYSCALL.format(call))


@linux
@every_row("name", ["{}/s", "\0{}"])
def test_no_datagram_leaves_a_pair_of_sockets(tmp_path, name):
    name = name.format(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name)
        server.setblocking(False)
        attempt = f"import socket\na, b = socket.socketpair(type=2)\na.sendto(b'x', {name!r})"

        assert "PermissionError" in outcome(attempt)
        stream = "import socket\na, b = socket.socketpair()\na.sendmsg([b'x'], [], 0, {!r})"
        assert "Error" in outcome(stream.format(name))
        with pytest.raises(BlockingIOError):
            server.recv(1)


FORGE = """import os
for n in range(64):
    for text in (b'ready\\n', b'""'):
        try: os.write(n, text)
        except OSError: pass
os._exit({})"""


@BOTH
@every_row("code", [0, 71])
def test_a_reply_that_writes_a_result_or_ends_like_a_missing_sandbox_is_wrong(options, code):
    for reply in (FORGE, "import os\nos._exit({})"):
        told = outcome(reply.format(code), options)

        assert told == f"ended before its tests had, with exit code {code}"


NESTS = (
    "for n in range({}): os.mkdir('d'); os.chdir('d')",
    "for n in range(40): os.mkdir('d' * 250); os.chdir('d' * 250)",
    "os.umask(0o777)\nfor n in range({}): os.mkdir(str(n))",
)


@BOTH
@every_row("nest", NESTS)
def test_folders_that_no_path_reaches_are_removed_too(tmp_path, monkeypatch, nest, options):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert "wrote more than" in outcome(f"import os\n{nest.format(2100)}", options)
    assert list(tmp_path.iterdir()) == []


@linux
@pytest.mark.parametrize(("machine", "token"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_numbers_of_system_calls_are_those_of_libseccomp(machine, token):
    library = find_library("seccomp")
    if library is None:
        pytest.skip("libseccomp is not installed")
    resolve = ctypes.CDLL(library).seccomp_syscall_resolve_name_arch
    child = sandbox.sandbox_child
    assert child._MACHINES[machine][0] == token
    column = child._MACHINES[machine][1]
    allowed = child._ALLOWED | {name: entry[0] for name, entry in child._BY_ARGUMENT.items()}
    special = ("clone", "clone3", "kill", "tgkill", "prlimit64", "socketpair", "sendto")
    allowed |= {name: getattr(child, f"_{name.upper().removesuffix('64')}") for name in special}

    # A negative number stands for a system call that the machine does not have.
    resolved = {name: resolve(token, name.encode()) for name in allowed}
    assert {name: number if number >= 0 else None for name, number in resolved.items()} == {
        name: numbers[column] for name, numbers in allowed.items()
    }


FORK = """import os, time
{fork}
while True:
    open({beat!r}, 'w').write(str(time.time()))
    time.sleep(0.005)
"""
LATE = "took longer than 2.5 s"
FORKS = [
    ("", LATE),
    ("os.fork()", LATE),
    ("if os.fork() == 0:\n    os.fork() and os._exit(0)", LATE),
    # One who ends in time leaves a fork behind.
    ("if os.fork():\n    time.sleep(0.2)\n    os._exit(0)",
     "ended before its tests had, with exit code 0"),
]  # fmt: skip


@pytest.mark.slow
def test_no_process_outlives_its_time_even_without_a_sandbox(tmp_path):
    begun = time.monotonic()

    def ended(number, fork):
        # Long enough for a busy machine to start the process.
        code = FORK.format(fork=fork, beat=str(tmp_path / str(number)))
        return outcome(code, {**BARE, "seconds": 2.5})

    with ThreadPoolExecutor(len(FORKS)) as at_once:
        found = [*at_once.map(ended, range(len(FORKS)), [fork for fork, _ in FORKS])]

    assert found == [told for _, told in FORKS]
    assert time.monotonic() - begun < 20
    last = [(tmp_path / str(number)).read_text() for number in range(len(FORKS))]
    time.sleep(0.2)
    assert [(tmp_path / str(number)).read_text() for number in range(len(FORKS))] == last


@linux
def test_a_process_that_leaves_the_group_is_not_waited_for():
    leaves = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(20)\n    os._exit(0)"
    )
    begun = time.monotonic()

    assert outcome(leaves, BARE) == "done"
    assert time.monotonic() - begun < 15


FILLS = [
    ("with open('a', 'w') as f:\n    f.write('x' * 5_000_000)", "File too large"),
    ("import os\nos.mkdir('d')\nfor i in range(9): open(f'd/{i}', 'w').write('x' * 3_000_000)",
     "wrote more"),
    ("x = 'x' * 2_000_000_000", "MemoryError"),
]  # fmt: skip


@BOTH
@every_row(("attempt", "told"), FILLS)
def test_neither_disk_nor_memory_can_be_filled(attempt, told, options):
    assert told in outcome(f"{attempt}\nwhile True: pass", {**options, "memory_mb": 256})


FILL = """
import os
left = {} + (2 << 20) - sum(entry.stat().st_size for entry in os.scandir('.'))
open('a', 'wb').write(bytes(left // 2))
open('b', 'wb').write(bytes(left - left // 2))
"""
MANY = "for n in range({} + 8): open(str(n), 'w').close()"


@every_row(("more", "told"), [(0, "done"), (1, "wrote more than 2 MB or 10 files")])
@every_row("fill", [FILL, MANY])
def test_a_run_may_write_up_to_its_limit(monkeypatch, fill, more, told):
    monkeypatch.setattr(sandbox, "_MAX_BYTES", 2 << 20)
    monkeypatch.setattr(sandbox, "_MAX_FILES", 10)

    assert outcome(fill.format(more)) == told


@BOTH
def test_what_links_lead_to_is_neither_counted_nor_removed(tmp_path, options):
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(20 << 20)
    mode = tmp_path.stat().st_mode

    for path in (large, tmp_path):
        assert outcome(f"import os\nos.symlink({str(path)!r}, 'link')", options) == "done"

    assert large.stat().st_size == 20 << 20
    assert tmp_path.stat().st_mode == mode


def test_a_folder_that_the_code_has_closed_is_removed_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scandir = os.scandir

    def of_an_ordinary_user(folder):
        if not Path(folder).stat().st_mode & 0o400:
            raise PermissionError
        return scandir(folder)

    monkeypatch.setattr(sandbox.os, "scandir", of_an_ordinary_user)

    closed = "import os\nos.mkdir('d')\nopen('d/x', 'w').close()\nos.chmod('d', 0)"
    assert outcome(closed, BARE) == "done"
    assert list(tmp_path.iterdir()) == []


def test_the_result_of_a_run_is_cached():
    reply = f"{ADD}\nimport time; time.sleep(0.3)  # {time.time()}"
    score_reply(reply, "pass")
    begun = time.monotonic()

    assert score_reply(reply, "pass").value == 1
    assert time.monotonic() - begun < 0.1


# Where it cannot be sandboxed -----------------------------------------------------------------

NOT_HERE = f"code cannot be sandboxed on this machine ({json.dumps(f'KeyError: {machine()!r}')})"


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine whose kernel cannot shut anything in, as far as the process can tell."""
    source = Path(sandbox.sandbox_child.__file__).read_text()
    monkeypatch.setattr(sandbox.sandbox_child, "__file__", None)

    unknown = {'"x86_64": (': '"x": (', '"aarch64": (': '"y": ('}

    def on(folder, changes=unknown):
        changed = source
        for before, after in changes.items():
            assert before in source
            changed = changed.replace(before, after)
        copy = folder / "sandbox_child.py"
        copy.write_text(changed)
        monkeypatch.setattr(sandbox.sandbox_child, "__file__", str(copy))

    sandbox.require_sandbox.cache_clear()
    sandbox._run_tests.cache_clear()
    yield on
    sandbox.require_sandbox.cache_clear()
    sandbox._run_tests.cache_clear()


def test_code_that_cannot_be_sandboxed_is_an_error_and_does_not_run(tmp_path, elsewhere):
    elsewhere(tmp_path)
    mark = tmp_path / "ran"

    with pytest.raises(ScorerError) as raised:
        score_reply(f"open({str(mark)!r}, 'w')")
    assert str(raised.value) == f'score: code broke on case "a" (c.jsonl:1): {NOT_HERE}'
    assert not mark.exists()


@linux
def test_a_restriction_that_the_kernel_rejects_is_an_error(tmp_path, elsewhere):
    elsewhere(tmp_path, {"prctl(_NO_NEW_PRIVILEGES": "prctl(9999"})

    with pytest.raises(ScorerError, match=r'machine \("OSError: \[Errno 22\] Invalid argument"\)'):
        score_reply("x = 'not run'")


@every_row(
    ("system", "kind", "version", "can"),
    [
        ("linux", "x86_64", 1, True),
        ("linux", "aarch64", 7, True),
        ("linux", "x86_64", 0, False),
        ("linux", "x86_64", -1, False),
        ("linux", "riscv64", 7, False),
        ("darwin", "x86_64", 7, False),
        ("linux", "x86_64", OSError("no library"), False),
    ],
)
def test_a_machine_with_landlock_can_shut_code_in(monkeypatch, system, kind, version, can):
    asked = []

    def library(name):
        if isinstance(version, OSError):
            raise version
        return SimpleNamespace(syscall=lambda *call: asked.append((name, call)) or version)

    child = sandbox.sandbox_child
    monkeypatch.setattr(child.sys, "platform", system)
    monkeypatch.setattr(child.os, "uname", lambda: SimpleNamespace(machine=kind), raising=False)
    monkeypatch.setattr(child.ctypes, "CDLL", library)

    assert sandbox.can_sandbox.__wrapped__() is can
    assert asked in ([], [(None, (444, None, 0, 1))])
    monkeypatch.delattr(os, "uname")  # as on Windows
    assert sandbox.can_sandbox.__wrapped__() is False


def test_a_missing_sandbox_is_an_error_before_the_first_request(tmp_path, elsewhere):
    elsewhere(tmp_path)

    with pytest.raises(ConfigurationError) as raised:
        validate_rules([case_of("pass")], tmp_path)
    assert str(raised.value) == (
        f"{NOT_HERE}; run it on Linux from 5.13 on (x86-64, ARM64), or write sandbox: none, "
        "and the code may do all that you may"
    )
    validate_rules([case_of("pass", BARE)], tmp_path)
