"""Escape and wrap text for a terminal, and show word-by-word differences."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from contextvars import ContextVar
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, TextIO, cast


def escape_controls(text: str) -> str:
    r"""Return *text* with control and direction characters escaped, as in ``\x1b``.

    So are the marks that some build servers obey anywhere in a line, such as ``##[group]``.
    """
    text = _COMMAND_MARK.sub(r"#\\x23", text)
    if text.isprintable():
        return text
    return "".join(_escape(c) if c != "\n" and _is_control(c) else c for c in text)


#: Before a bracket: a command to GitHub, Azure Pipelines or TeamCity.
_COMMAND_MARK = re.compile(r"##(?=\w*\[)")


def break_command(line: str) -> str:
    """Return *line* so that GitHub does not read it as a workflow command, which begins with ::."""
    return line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line


def _is_control(character: str) -> bool:
    # Cc: terminal controls. Cf: among others the characters that change the text direction.
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")


def _escape(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape", "replace").decode()


#: The columns of a line in reports, and the least and the most in a terminal.
_WIDTH, _MIN_WIDTH, _MAX_WIDTH = 80, 60, 160
_columns: ContextVar[int] = ContextVar("columns", default=_WIDTH)


def line_width() -> int:
    """Return the columns of a line: those of the terminal, or 80."""
    return _columns.get()


@contextmanager
def terminal_width(columns: int) -> Iterator[None]:
    """Write lines for a terminal of *columns* columns, from 60 to 160 of them."""
    before = _columns.set(max(_MIN_WIDTH, min(columns, _MAX_WIDTH)))
    try:
        yield
    finally:
        _columns.reset(before)


def cell_count(text: str) -> int:
    """Return the columns that *text* takes in a terminal: wide characters take two."""
    if text.isascii():
        return len(text)
    from wcwidth import width

    return width(text, control_codes="ignore")


#: What stands for characters that a terminal's encoding lacks.
_ASCII = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "→": "->",
        "│": "|",
        "…": "...",
        "·": "-",
        "≥": ">=",
        "≤": "<=",
        "✗": "x",
        "✓": "+",
        "“": '"',
        "”": '"',
        "█": "#",
        "░": ".",
        "\N{NO-BREAK SPACE}": " ",
    }
)


def encodable(text: str, encoding: str | None) -> str:
    """Return *text* as *encoding* can write it, with signs in ASCII where it lacks them."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        plain = text.translate(_ASCII).encode(encoding or "utf-8", "backslashreplace")
        return plain.decode(encoding or "utf-8")
    except LookupError:
        return text
    return text


class LastingStream:
    """A text stream that goes on, to nowhere, when its reader has closed the pipe.

    A reader such as ``head`` or ``grep -q`` has what it wants; the work and its exit code remain.
    *lost* is the error after which it goes on.
    """

    def __init__(self, stream: TextIO, lost: type[OSError] = BrokenPipeError) -> None:
        self._stream, self._lost = stream, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write *text* as far as it has a reader; return its length."""
        with self._without_reader():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what the stream holds back, as far as it has a reader."""
        with self._without_reader():
            self._stream.flush()

    @contextmanager
    def _without_reader(self) -> Iterator[None]:
        try:
            yield
        except self._lost:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            # For children too, and for what Python itself writes at exit.
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(nowhere, self._stream.fileno())
                self._stream.flush()
            os.close(nowhere)


def open_missing_streams() -> None:
    """Let what is printed go to nowhere if the process was started without an output.

    Otherwise the next file that it opens would be its output, and that of its children.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
            os.set_inheritable(stream.fileno(), True)  # noqa: FBT003
            setattr(sys, name, stream)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let what is printed in this context fail nothing, whoever reads it."""
    open_missing_streams()
    out, err = LastingStream(sys.stdout), LastingStream(sys.stderr, lost=OSError)
    with redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
        try:
            yield
        finally:
            out.flush()
            err.flush()


#: Keep a number and its percent sign, and the rates before and after, in one line.
_NO_BREAK = {
    " % CI ": "\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}CI\N{NO-BREAK SPACE}",
    " %": "\N{NO-BREAK SPACE}%",
    " → ": "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}",
}


def wrap_lines(text: str, indent: int = 2, *, keep_long_words: bool = False) -> list[str]:
    """Return *text* in lines of a terminal's width, none of which is a workflow command.

    The first line is indented by *indent* columns, further lines by two more. *keep_long_words*
    does not break words longer than a line, such as paths.
    """
    blank = " " * indent
    lines = _fill_whole(text, blank, f"{blank}  ", keep_long_words=keep_long_words)
    # The text may quote a server.
    return [*map(break_command, lines)]


def wrap_after(head: str, text: str) -> list[str]:
    """Return *text* in lines of a terminal's width: the first after *head*, others below it."""
    return _fill_whole(text, head, " " * cell_count(head))


def _fill_whole(text: str, head: str, indent: str, *, keep_long_words: bool = False) -> list[str]:
    """Return the lines of *_fill*, none of which ends within a figure such as ``48 → 0 %``."""
    for breaking, whole in _NO_BREAK.items():
        text = text.replace(breaking, whole)
    lines = _fill(text, head, indent, keep_long_words=keep_long_words)
    for breaking, whole in _NO_BREAK.items():
        lines = [line.replace(whole, breaking) for line in lines]
    return lines


def _fill(text: str, head: str, indent: str, *, keep_long_words: bool = False) -> list[str]:
    """Return the words of *text* in lines: the first after *head*, others after *indent*."""
    lines: list[str] = []
    line, gap = head, ""
    # A line is never broken at a no-break space.
    for token in re.findall(r"[ \n]+|[^ \n]+", text.strip(" \n")):
        if not token.strip(" \n"):
            gap = token.replace("\n", " ")
            continue
        words = [token] if keep_long_words else _pieces(token, line_width() - len(indent))
        for index, word in enumerate(words):
            space = "" if index or line in (head, indent) else gap
            if index or (space and cell_count(line + space + word) > line_width()):
                lines.append(line)
                line, space = indent, ""
            line += space + word
    return [*lines, line] if text.strip(" \n") else lines


def _pieces(word: str, width: int) -> list[str]:
    """Return *word* in pieces of at most *width* columns."""
    if cell_count(word) <= width:
        return [word]
    from wcwidth import iter_graphemes

    pieces, cells = [""], 0
    for character in iter_graphemes(word):
        cells += cell_count(character)
        if cells > width:
            pieces.append("")
            cells = cell_count(character)
        pieces[-1] += character
    return pieces


def one_line(text: str) -> str:
    """Return the beginning of *text* in one line, without control characters."""
    return " ".join(escape_controls(text[:1_000]).split())


def shorten(text: str, width: int) -> str:
    """Return *text* cut to *width* columns, with an ellipsis if it is longer."""
    if cell_count(text) <= width:
        return text
    from wcwidth import clip

    return f"{clip(text, 0, max(0, width - 1), fillchar='', control_codes='ignore')}…"


def fit_parts(parts: Iterable[str], indent: int = 4, *, gap: str = "   ") -> list[str]:
    """Return *parts*, none of which is broken if it fits, in as few lines as hold them."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_count(lines[-1] + gap + part) <= line_width():
            lines[-1] += gap + part
        elif cell_count(part) + indent * bool(lines) <= line_width():
            lines.append(" " * indent * bool(lines) + part)
        else:
            inset = len(part) - len(part.lstrip(" "))
            lines += _fill_whole(part, " " * (indent if lines else inset), " " * indent)
    return lines


def quote_following_lines(text: str) -> str:
    """Return *text* escaped, with a bar before each line after the first.

    The bar keeps a terminal or a build server from reading a line as a command.
    """
    first, *following = escape_controls(text).split("\n")
    return "\n".join([first, *(f"│ {line}" for line in following)])


def no_answer(*, thinks: bool) -> str:
    """Return what stands in place of a reply without a text."""
    return "(a thought alone)" if thinks else "(empty)"


#: More characters are not wrapped to be counted in lines.
_MOST_WRAPPED = 20_000


def quoted_lines(label: str, text: str, *, max_lines: int = 4) -> Iterator[str]:
    """Yield foreign *text* in lines that all begin with a bar.

    The bar keeps a terminal or a build server from reading a line as a command. The first line
    shows *label*, what the text is. Lines after *max_lines* are counted and left out; of a very
    long text the characters.
    """
    head = "      │ "
    inset = " " * (len(head) + 10)
    most = max(_MOST_WRAPPED, max_lines * line_width())
    lines = [
        part.removeprefix(inset)
        for line in escape_controls(text[:most]).split("\n")
        for part in (_fill(line, inset, inset) or [""])
    ]
    while lines and not lines[-1]:
        lines.pop()
    if len(text) > most:
        shown = lines[: max_lines - 1]
        lines = [*shown, f"… about {len(text) - sum(map(len, shown)):,} more characters"]
    elif len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], f"… {len(lines) - max_lines + 1} more lines"]
    for index, line in enumerate(lines or [no_answer(thinks=False)]):
        yield f"{head}{label if index == 0 else '':<10}{line}".rstrip()


#: Texts that share less than this share of the expected words are clearer without a diff.
_MIN_SHARED = 1 / 3
_MIN_WORDS, _MAX_WORDS = 3, 400
#: A longer run of equal words is shortened to its ends.
_MAX_EQUAL_RUN = 8


def word_diff(expected: str, reply: str) -> str:
    """Return both texts as one, with ``[-removed-]`` and ``{+added+}``; "" if too different.

    If *expected* lists several answers, the one closest to the reply is used.
    """
    words = reply.split()
    answers = [answer.split() for answer in expected.split(" | ")]
    found = [(match, answer) for answer in answers if (match := _matcher(answer, words))]
    if not found:
        return ""
    closest, answer = max(found, key=lambda pair: pair[0].ratio())
    return " ".join(_diff_words(closest, answer, words))


def _matcher(expected: list[str], reply: list[str]) -> SequenceMatcher[str] | None:
    """Return what compares two texts as words; None if a comparison shows nothing."""
    comparable = _MIN_WORDS <= len(expected) <= _MAX_WORDS and len(reply) <= _MAX_WORDS
    if not comparable or expected == reply:
        return None
    matcher = SequenceMatcher(None, expected, reply, autojunk=False)
    shared = sum(block.size for block in matcher.get_matching_blocks())
    return matcher if shared >= _MIN_SHARED * len(expected) else None


def _diff_words(
    matcher: SequenceMatcher[str], expected: list[str], reply: list[str]
) -> Iterator[str]:
    expected, reply = ([*map(break_diff_marks, words)] for words in (expected, reply))
    for kind, start, end, reply_start, reply_end in matcher.get_opcodes():
        if kind == "equal":
            equal = expected[start:end]
            yield from [*equal[:3], "…", *equal[-3:]] if len(equal) > _MAX_EQUAL_RUN else equal
            continue
        if end > start:
            yield f"[-{' '.join(expected[start:end])}-]"
        if reply_end > reply_start:
            yield f"{{+{' '.join(reply[reply_start:reply_end])}+}}"


def break_diff_marks(word: str) -> str:
    """Return *word* with its own diff marks broken up, so that a reply cannot forge ours."""
    return re.sub(r"(?<=[\[{])(?=[-+])|(?<=[-+])(?=[\]}])", "\\\\", word)


def line_ranges(lines: Sequence[int]) -> list[str]:
    """Return ascending numbers as ranges: ``3–5`` for 3, 4 and 5."""
    ranges = []
    # In a run of consecutive numbers, number minus index is constant.
    for _, group in groupby(enumerate(lines), key=lambda pair: pair[1] - pair[0]):
        numbers = [line for _, line in group]
        ranges.append(f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ranges
