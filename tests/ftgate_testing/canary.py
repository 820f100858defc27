"""Keys that every test has in its environment, and that are nowhere after it: ``pytest --canary``.

After each test its files, its output, its report, and the command lines of the processes that it
started are searched for the keys: as they are, reversed, in base64 and in hexadecimal. A find is an
error of that test. The last test of a process also answers for the folders that tests share.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from pytest_ftgate.suite.providers import _SERVERS, PROVIDERS

#: A part of each key, so that one search finds all of them.
MARK = "q7Xw2LkZ9fTb4VhRn8Yd"
#: The variables that hold a key: those of providers, and others that CI has.
KEY_NAMES = tuple(
    {
        **dict.fromkeys(spec.key_variable for spec in PROVIDERS.values() if spec.key_variable),
        **dict.fromkeys(name for _, name in _SERVERS.values() if name),
        **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN")),
        **dict.fromkeys(("HF_TOKEN", "TEAM_KEY", "WANDB_API_KEY")),
    }
)
#: Larger files are weights.
_MAX_BYTES = 64 << 20
#: The seconds between two looks at the processes that run.
_PAUSE = 0.1


def forms(mark: str) -> dict[bytes, str]:
    """Return what *mark* looks like inside of a longer text, and the name of each form."""
    plain = mark.encode()
    found = {plain: "plain", plain[::-1]: "reversed", plain.hex().encode(): "hexadecimal"}
    for offset in range(3):
        encoded = b64encode(bytes(offset) + plain)
        # The characters that the bytes around it do not change.
        inner = encoded[-(-offset * 8 // 6) : (offset + len(plain)) * 8 // 6]
        found[inner] = "base64"
    return found


def contents(path: Path) -> Iterator[bytes]:
    """Yield the content of the file at *path*, and what is packed in a page."""
    content = path.read_bytes()
    yield content
    for packed in re.findall(rb"[A-Za-z0-9+/]{100,}={0,2}", content) if b"<html" in content else ():
        for bits in (31, 15, -15):
            with suppress(ValueError, zlib.error):
                yield zlib.decompress(b64decode(packed), bits)


def command_lines() -> Iterator[bytes]:
    """Yield the command line of each process that runs, where the system shows them."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


@contextmanager
def as_started() -> Iterator[None]:
    """Act as the user of the process: a test of root may act as one who may read less."""
    user = os.geteuid() if hasattr(os, "geteuid") else None
    if user is None or user == os.getuid():
        yield
        return
    os.seteuid(os.getuid())
    try:
        yield
    finally:
        os.seteuid(user)


class Canary:
    """Watches the tests of one process.

    Attributes:
        leaks: where keys were found since the last test.
    """

    def __init__(self, mark: str) -> None:
        self.leaks: dict[str, None] = {}
        self._forms = forms(mark)
        self._searched: set[Path] = set()
        self._ended = Event()
        self._patch = pytest.MonkeyPatch()
        for name in KEY_NAMES:
            self._patch.setenv(name, f"sk-{name.lower()}-{mark}")
        self._watch_output(subprocess.Popen, "communicate")
        self._watch_output(pytest.CaptureFixture, "readouterr")
        sys.addaudithook(self._audit)
        self._thread = Thread(target=self._watch_processes, daemon=True)
        self._thread.start()

    def look(self, where: str, content: object) -> None:
        """Note that *where* holds a key, if *content* has one."""
        data = content if isinstance(content, bytes) else str(content).encode(errors="replace")
        for form, name in self._forms.items():
            if form in data:
                self.leaks[f"{where} holds a key of the environment, {name}"] = None

    def _watch_output(self, owner: type, name: str) -> None:
        """Look at what the method *name* returns: the output, and the errors."""
        method = getattr(owner, name)

        def watched(*arguments, **options):
            result = method(*arguments, **options)
            for content in result:
                self.look(f"output that {name} returned", content)
            return result

        self._patch.setattr(owner, name, watched)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and not self._ended.is_set():
            self.look("a command line", " ".join(map(str, arguments[1])))

    def _watch_processes(self) -> None:
        while not self._ended.wait(_PAUSE):
            for line in command_lines():
                self.look("a command line", line)

    def _search(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and path.stat().st_size < _MAX_BYTES:
                    for content in contents(path):
                        self.look(str(path), content)
        self._searched.add(folder)

    def _search_shared(self, base: Path) -> None:
        for folder in base.iterdir():
            if folder.is_dir() and not folder.is_symlink() and folder not in self._searched:
                self._search(folder)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item, nextitem):
        arguments = getattr(item, "funcargs", {})
        pytester = arguments.get("pytester")
        with as_started():
            for folder in (arguments.get("tmp_path"), pytester and pytester.path):
                if folder:
                    self._search(folder)
            if nextitem is None:
                self._search_shared(item.config._tmp_path_factory.getbasetemp())
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        self.look(f"the report of {item.nodeid}", report.longreprtext)
        for title, content in report.sections:
            self.look(title, content)
        if call.when == "teardown" and self.leaks:
            report.outcome, report.longrepr = "failed", "\n".join(self.leaks)
            self.leaks.clear()
        return report

    def pytest_unconfigure(self) -> None:
        self._ended.set()
        self._thread.join()
        self._patch.undo()


def pytest_addoption(parser):
    told = "give each test keys in its environment, and look for them where none may be"
    parser.addoption("--canary", action="store_true", help=told)


def pytest_configure(config):
    if config.getoption("--canary"):
        config.pluginmanager.register(Canary(MARK), "canary-watch")
