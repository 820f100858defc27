"""Thoughts: what a reasoning model writes before its answer, and how the two are separated."""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_ftgate.suite.model import ThoughtMarks

#: The marks that chat templates of reasoning models use.
_KNOWN_MARKS: ThoughtMarks = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
#: Marks that some chat templates open in the prompt, so that only the closing one is in the reply.
#: The others may stand in an answer, such as XML that the prompt asks for.
_OPENED_BY_TEMPLATE: ThoughtMarks = (
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
_CLOSED_IN_REPLY = tuple(closing for _, closing in _OPENED_BY_TEMPLATE)
#: The channels of the harmony format, in which gpt-oss answers.
_CHANNEL = re.compile(
    r"<\|channel\|>(?P<name>\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(?P<text>.*?)(?:<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)|\Z)",
    re.DOTALL,
)
_CHANNEL_STARTS = ("<|channel|>", "<|start|>assistant")
#: The same channels from a server that leaves out the special tokens.
_BARE_ANALYSIS, _BARE_FINAL = "analysis", "assistantfinal"
#: How a text with a thought begins, unless a chat template opened the thought.
_KNOWN_STARTS = (*_CHANNEL_STARTS, _BARE_ANALYSIS, *(opening for opening, _ in _KNOWN_MARKS))


class SplitText(NamedTuple):
    """A text split into thought and answer.

    Attributes:
        thought: what is marked as a thought, without the marks.
        answer: the rest; "" if the thought never ends.
        is_closed: False if the thought never ends, or no answer follows its channel.
    """

    thought: str
    answer: str
    is_closed: bool = True


def split_thoughts(text: str, marks: ThoughtMarks | None = None) -> SplitText:
    """Split *text* into the thoughts at its start and the answer.

    *marks* are the pairs of marks around a thought: None for those of the known chat templates, ()
    for none. A text without a thought comes back as it is.
    """
    start = text.lstrip()
    if marks is None and not may_think(start):
        return SplitText("", text)
    if marks is None and start.startswith(_CHANNEL_STARTS):
        return _split_channels(start)
    if marks is None and start.startswith(_BARE_ANALYSIS) and _BARE_FINAL in start:
        thought, _, answer = start.removeprefix(_BARE_ANALYSIS).partition(_BARE_FINAL)
        return SplitText(thought.strip(), answer)
    split = _split_leading(start, _KNOWN_MARKS if marks is None else marks)
    if split.answer is not start:
        return split
    for opening, closing in _OPENED_BY_TEMPLATE if marks is None else marks:
        thought, closed, answer = start.partition(closing)
        if closed and opening not in thought:
            return SplitText(thought.strip(), answer.lstrip())
    return SplitText("", text)


def may_think(text: str) -> bool:
    """Return True if *text* may hold a thought; most do not, which is found out fast."""
    if text.startswith(_KNOWN_STARTS) or (text[:1].isspace() and may_think(text.lstrip())):
        return True
    for closing in _CLOSED_IN_REPLY:  # noqa: SIM110 - twice as fast as any()
        if closing in text:
            return True
    return False


def _split_leading(text: str, marks: ThoughtMarks) -> SplitText:
    """Return the thoughts that stand before everything else in *text*, and the rest."""
    thoughts = list[str]()
    while pair := next((pair for pair in marks if text.startswith(pair[0])), None):
        opening, closing = pair
        thought, closed, rest = text[len(opening) :].partition(closing)
        thoughts.append(thought.strip())
        if not closed:
            return SplitText(_join(thoughts), "", is_closed=False)
        text = rest.lstrip()
    return SplitText(_join(thoughts), text)


def _split_channels(text: str) -> SplitText:
    """Return the text of the final channel as the answer, and the other channels as thoughts."""
    thoughts, answers = list[str](), list[str]()
    for channel in _CHANNEL.finditer(text):
        (answers if channel["name"] == "final" else thoughts).append(channel["text"].strip())
    return SplitText(_join(thoughts), _join(answers), is_closed=bool(answers))


def _join(texts: list[str]) -> str:
    return "\n\n".join(filter(None, texts))
