"""Every error of the package, as a tree.

FtgateError
├── SuiteError                    a suite has errors; carries all of them, each with its line
├── ConfigurationError            something is missing: weights, a package, a key
├── ReplyError                    one request failed
│   ├── OutOfBudget               it was not sent: the budget of the run is used up
│   ├── RetryableError            a retry may succeed: overload, timeout, incomplete body
│   └── RequestRejected           a retry fails as well: bad request, unknown model
│       ├── ProviderRejected      all requests of the variant fail: credentials, spending limit
│       │   └── WrongModel        another model answers than the declared one
│       └── NotRecorded           the run sends no requests, and no reply is recorded
├── RepliesMissing                too many requests of a variant failed
├── FigureError                   a figure contradicts what the suite declares
├── ScorerError                   a scorer raised an exception; it never counts as a wrong reply
└── CacheError                    the reply cache cannot be read or written, or git tracks it

EngineError                       an unexpected exception ended the run; no gate handles it
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb, format_exception
from typing import TYPE_CHECKING, Any

from pytest_ftgate.paths import names_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: The folders of installed packages.
_INSTALLED = {"site-packages", "dist-packages"}
#: The most frames of a traceback, the last ones: an endless recursion has a thousand.
_MAX_FRAMES = 30


class FtgateError(Exception):
    """The base class of all errors that this package raises on purpose.

    Remedy: follow the message; every one says what to change. An error of another class that
    comes out of the package is a defect of it: please report it.
    """


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One error in a file, with its position and its remedy.

    Attributes:
        path: the file, relative to the root directory if it lies below it.
        line: the line, counted from 1; 0 for the whole file.
        message: the error and its remedy.
        address: where the documentation explains the key, or "".
    """

    path: str
    line: int
    message: str
    address: str = field(default="", compare=False)

    @property
    def is_in_file(self) -> bool:
        """False for a value that was set outside the files, whose option stands for the path."""
        return not self.path.startswith(("--ftgate-set ", "overrides "))

    def __str__(self) -> str:
        """Return ``path:line: message``, which editors show as a link."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"

    def with_address(self) -> str:
        """Return the error, and the address at its end."""
        return f"{self} ({self.address})" if self.address else str(self)


class SuiteError(FtgateError):
    """A suite cannot be used; *errors* lists every error in it.

    Remedy: mend each listed line. The address at the end of a line explains its key. No
    request was sent.
    """

    def __init__(self, suite: str, errors: Iterable[Diagnostic]) -> None:
        self.suite = suite
        self.errors: Sequence[Diagnostic] = sorted(set(errors))
        count = len(self.errors)
        head = f"{suite}: {count} error{'' if count == 1 else 's'}"
        super().__init__("\n".join([head, *(f"  {error.with_address()}" for error in self.errors)]))


class ConfigurationError(FtgateError):
    """Something that the run needs is missing: weights, a package, a key, or an option's value.

    Remedy: the message has the command, the variable or the option; ``pytest-ftgate doctor SUITE``
    finds such gaps before a run.
    """


class ReplyError(FtgateError):
    """One request failed.

    Remedy: none if it stays alone: a gate is evaluated while enough requests of its variant
    succeed. The replies that came are in the cache, and the next run sends only the others.
    """


class OutOfBudget(ReplyError):
    """A request was not sent, since the money or the time of the run is used up.

    Remedy: run again to go on, or raise ``--ftgate-max-usd`` or ``--ftgate-max-minutes``.
    """


class RetryableError(ReplyError):
    """A request failed, and a retry may succeed.

    Remedy: none at first, since the run retries it. If all retries failed, the server is overloaded
    or down: run again later.

    Args:
        message: the message of the provider.
        retry_after: the seconds that the provider asks to wait, or None.
        limited: True for a rate limit or an overload of the provider.
        loading: True if the provider loads its model, which takes minutes.
        rejection: the error of the request if the next attempt fails in the same way; None if
            further attempts may succeed.
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        *,
        limited: bool = False,
        loading: bool = False,
        rejection: RequestRejected | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after, self.limited, self.loading = retry_after, limited, loading
        self.rejection = rejection


class RequestRejected(ReplyError):
    """A request failed, and every retry would fail too.

    Remedy: change what the server's answer names, such as the model, the length or a setting.
    """


class ProviderRejected(RequestRejected):
    """All requests of a variant fail: no key, no access, spending limit reached.

    Remedy: set the key, or raise the limit, with the provider; the other variants are evaluated.
    """


class WrongModel(ProviderRejected):
    """Another model answers than the declared one.

    Remedy: serve the declared model, or declare the one that answers: ``served_model``.
    """


class NotRecorded(RequestRejected):
    """No reply is recorded for a request, and the run sends no requests.

    Remedy: run once without ``--ftgate-replies=recorded``, and commit the replies with
    ``pytest-ftgate cache export``.
    """


class RepliesMissing(FtgateError):
    """So many requests of a variant failed that no gate of it can be evaluated.

    Remedy: remove the cause of the failed requests, which the message shows, and run again; the
    replies that came are not paid for twice.
    """


class FigureError(FtgateError):
    """A figure of a variant contradicts what the suite declares, so that no gate may rest on it.

    Remedy: correct what is declared, as the message says.

    Args:
        note: what contradicts, as a note of the gate.
    """

    def __init__(self, note: Any) -> None:
        self.note = note
        super().__init__(str(note))


class ScorerError(FtgateError):
    """A scorer raised an exception: an error of the run, never a score of zero.

    Remedy: mend the function at the shown line; its replies are in the cache, so the next run costs
    nothing.
    """


class CacheError(FtgateError):
    """The reply cache cannot be read or written, or git tracks it.

    Remedy: make room or give access where the message says, name another file with
    ``--ftgate-cache``, or type the command of the message, which untracks the file.
    """


class EngineError(Exception):
    """An unexpected exception, *cause*, ended the run: no further request of it is sent.

    It is not an `FtgateError`: the code that handles the error of one gate must not catch it.
    ``pytest --ftgate`` ends with exit code 3, whatever its gates were.

    Remedy: mend the code at the file and line that the message names; the same command goes on
    with the replies that are kept. A line of this package is a defect of it: please report it.

    Args:
        cause: the exception.
        redact: returns a text without secrets, which the message of any exception may quote.
    """

    def __init__(self, cause: BaseException, redact: Callable[[str], str] = str) -> None:
        self.cause = cause
        #: Where it happened, as Python shows it, without secrets.
        self.traceback = redact("".join(format_exception(cause, limit=-_MAX_FRAMES)))
        super().__init__(
            redact(f"{unexpected(cause)}; the run ends, and every reply that has come is kept")
        )


def unexpected(error: BaseException) -> str:
    """Return what *error* says, and the file and line at which it happened."""
    frames = extract_tb(error.__traceback__)
    # Compiled code names its file by a path of the machine that built it.
    present = [frame for frame in frames if Path(frame.filename).is_absolute()]
    own = [frame for frame in present if not is_installed(frame.filename)]
    # Code of the user may break inside a function that it calls, such as one of urllib.
    last = (own or frames)[-1:]
    here = f"{Path.cwd()}{os.sep}"
    place = "".join(f" at {frame.filename.removeprefix(here)}:{frame.lineno}" for frame in last)
    return f"unexpected {type(error).__name__}: {error}".removesuffix(": ") + place


def is_installed(path: str) -> bool:
    """Return True if code in *path* is of the standard library or of an installed package."""
    is_standard = path.startswith((get_path("stdlib"), "<frozen "))
    return is_standard or not _INSTALLED.isdisjoint(Path(path).parts)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "…"?`` for the closest of *known*, or ""."""
    from difflib import get_close_matches  # most runs need none of it

    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def file_like(path: Path) -> str:
    """Return ``; did you mean "…"?`` for the closest file beside *path* with its ending, or ""."""
    stem, dot, ending = path.name.partition(".")
    alike = (name.partition(".") for name in names_beside(path))
    hint = did_you_mean(stem, [first for first, _, rest in alike if rest == ending])
    return hint and f"{hint[:-2]}{dot}{ending}{hint[-2:]}"
