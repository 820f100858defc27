"""``ask``: a conversation of several turns with one variant, about one case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.report.quote import quoted
from pytest_ftgate.suite.model import Case, Turn

__all__ = ["Pending", "Talk", "Unanswered"]

#: Makes the call of a turn: of a case, its opening, what was said since, and the repeat.
_Turns = Callable[[Case, str | None, Sequence[Turn], int], Ask]


# No Exceptions, so that a test's own except clauses do not stop them on their way out.
class Pending(BaseException):
    """Leaves the function until the reply to a turn is there; it is then run again."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        super().__init__("the reply is on its way")


class Unanswered(BaseException):
    """Leaves the function since a turn brought no reply."""


@dataclass(slots=True)
class Talk:
    """The conversation of one case; call it with what the user says next.

    Attributes:
        case: what it is about.
        turns: makes the calls.
        known: what became of calls so far, by fingerprint.
        begun: the reply that the conversation goes on from, or None where it begins.
        repeat: which of several conversations about the case it is, from 0.
    """

    case: Case
    turns: _Turns
    known: Mapping[str, Answer]
    begun: Reply | None = None
    repeat: int = 0
    _opening: str | None = None
    _later: list[Turn] = field(default_factory=list)
    _asked: list[tuple[Ask, Reply]] = field(default_factory=list)

    def restart(self) -> None:
        """Go back to the beginning."""
        self._opening, self._asked = None, []
        self._later = [("assistant", self.begun.text)] if self.begun else []

    def __call__(self, text: str | None = None) -> Reply:
        """Say *text*, and return what the variant replies to it and to all that was said before.

        Args:
            text: what the user says; None, for the first turn alone, puts the case itself as the
                suite does.
        """
        if self._later and text is None:
            raise TypeError("ask() puts the case, which opens a conversation; say something to it")
        if self._later:
            said = [*self._later, ("user", str(text))]
        else:
            self._opening, said = text, []
        ask = self.turns(self.case, self._opening, said, self.repeat)
        answer = self.known.get(ask.call.fingerprint)
        if answer is None:
            raise Pending(ask)
        if not isinstance(answer, Reply):
            raise Unanswered(str(answer))
        self._later = [*said, ("assistant", answer.text)]
        self._asked.append((ask, answer))
        return answer

    @property
    def replies(self) -> tuple[Reply, ...]:
        """The replies so far."""
        return tuple(reply for _, reply in self._asked)

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The calls so far."""
        return tuple(ask for ask, _ in self._asked)

    def lines(self) -> Iterator[str]:
        """Yield what was said, for the reader of a failure."""
        opening = self.case.shown if self._opening is None else self._opening
        for role, text in (("user", opening), *self._later):
            yield from quoted("said" if role == "user" else "replied", text, indent=6, lines=3)
