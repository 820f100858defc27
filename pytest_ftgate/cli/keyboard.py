"""Keys as a person presses them in a terminal, or as the lines of a pipe have them."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: What ends the input: of a terminal Ctrl-C and Ctrl-D, of a pipe its end.
END = ""
_ENDS = ("\x03", "\x04")
#: What an arrow and the like send: its last characters would be taken for keys.
_ESCAPE = re.compile(r"\x1b(?:\[[\d;]*[@-~]|O.)?|[\x00\xe0].", re.DOTALL)


@dataclass(slots=True)
class Keyboard:
    """The input of a person.

    Attributes:
        is_terminal: True if a key counts without Enter.
    """

    is_terminal: bool
    _pending: deque[str] = field(default_factory=deque)

    def read_key(self) -> str:
        """Return the next key, or END."""
        if not self.is_terminal:
            # Each line holds a key.
            return next((line.strip()[:1] for line in sys.stdin if line.strip()), END)
        while not self._pending:
            pressed = _pressed()
            if pressed in (END, *_ENDS):
                return END
            self._pending.extend(_ESCAPE.sub("", pressed))
        key = self._pending.popleft()
        return END if key in _ENDS else key

    def read_line(self) -> str:
        """Return a line, which is shown while it is typed."""
        if self.is_terminal and self._pending:
            typed = "".join(self._pending)
            self._pending.clear()
            return typed.strip()
        with _lines() if self.is_terminal else _as_it_is():
            return sys.stdin.readline().strip()


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Yield the keyboard; the terminal is afterwards as it was."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield Keyboard(is_terminal=False)
        return
    with _single_keys():
        yield Keyboard(is_terminal=True)


if sys.platform == "win32":
    import msvcrt

    def _pressed() -> str:
        key = msvcrt.getwch()
        return key + msvcrt.getwch() if key in ("\x00", "\xe0") else key

    @contextmanager
    def _as_it_is() -> Iterator[None]:
        yield

    _single_keys = _lines = _as_it_is
else:
    import termios
    import tty

    def _pressed() -> str:
        try:
            return os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
        except KeyboardInterrupt:
            return END

    @contextmanager
    def _as_it_is() -> Iterator[None]:
        yield

    @contextmanager
    def _single_keys() -> Iterator[None]:
        stream = sys.stdin.fileno()
        before = termios.tcgetattr(stream)
        tty.setcbreak(stream, termios.TCSANOW)
        try:
            yield
        finally:
            termios.tcsetattr(stream, termios.TCSANOW, before)

    @contextmanager
    def _lines() -> Iterator[None]:
        stream = sys.stdin.fileno()
        before = termios.tcgetattr(stream)
        lined = [*before]
        lined[3] = before[3] | termios.ICANON | termios.ECHO
        termios.tcsetattr(stream, termios.TCSANOW, lined)
        try:
            yield
        finally:
            termios.tcsetattr(stream, termios.TCSANOW, before)
