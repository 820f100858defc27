"""Everything that can go wrong, as a tree.

FtgateError
├── SuiteFaults          what an author wrote cannot be used; carries every fault at once
├── Unavailable          something needed is not here: weights, a package, a key
├── ReplyError           one call brought no reply
│   ├── OutOfBudget      it was not sent, since the money or the time of the run is used up
│   ├── Transient        worth asking again: overload, timeout, a broken body
│   └── Refused          asking again cannot help: bad request, unknown model
│       ├── Denied       no call of this variant can succeed: credentials, spend limit
│       └── NotRecorded  nothing may be asked, and no reply is kept
├── RepliesMissing       too few calls of a variant brought a reply to judge anything
├── ScorerError          a scorer of the suite broke; never counted as a wrong answer
└── LedgerError          the ledger file cannot be read or written
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Denied",
    "Fault",
    "FtgateError",
    "LedgerError",
    "NotRecorded",
    "OutOfBudget",
    "Refused",
    "RepliesMissing",
    "ReplyError",
    "ScorerError",
    "SuiteFaults",
    "Transient",
    "Unavailable",
    "did_you_mean",
]


class FtgateError(Exception):
    """The root: catching it catches everything this package raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing an author can mend.

    Attributes:
        path: the file, relative to the root directory where it lies below it.
        line: the line, counted from 1; 0 where the whole file is meant.
        message: what is wrong and what to write instead.
    """

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Show as ``path:line: message``, the form that editors turn into a link."""
        return (
            f"{self.path}:{self.line}: {self.message}"
            if self.line
            else f"{self.path}: {self.message}"
        )


class SuiteFaults(FtgateError):
    """A suite that cannot be used; every fault found is in *faults*."""

    def __init__(self, suite: str, faults: Iterable[Fault]) -> None:
        self.suite = suite
        self.faults: Sequence[Fault] = sorted(set(faults))
        count = len(self.faults)
        head = f"{suite}: {count} fault{'' if count == 1 else 's'}"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class Unavailable(FtgateError):
    """Something that a run needs is not here; the message says how to get it."""


class ReplyError(FtgateError):
    """One call brought no reply."""


class OutOfBudget(ReplyError):
    """A call that was not sent, since the money or the time of the run is used up."""


class Transient(ReplyError):
    """A failure that may pass: worth asking again.

    Args:
        message: what the provider said.
        retry_after: seconds that the provider asked to wait, if it did.
        limited: whether there was more asked than the provider takes: a rate limit or overload.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, limited: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after, self.limited = retry_after, limited


class Refused(ReplyError):
    """A failure that asking again cannot mend."""


class Denied(Refused):
    """A failure that will meet every call of this variant: no key, no access, no money."""


class NotRecorded(Refused):
    """A call whose reply is not kept, in a run that asks nothing."""


class RepliesMissing(FtgateError):
    """Too few calls of a variant brought a reply to judge anything."""


class ScorerError(FtgateError):
    """A scorer broke while reading a reply; an error, never a zero."""


class LedgerError(FtgateError):
    """The ledger cannot be read or written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "…"?`` for the nearest of *known*, or an empty string."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
