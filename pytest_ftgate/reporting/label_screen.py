"""A pair of replies as a screen of a terminal, blind, and the words around labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import Match, SequenceMatcher

from pytest_ftgate.gates.pairs import ShownPair
from pytest_ftgate.readers.text import json_or_text
from pytest_ftgate.reporting.number_text import percent, quantity
from pytest_ftgate.reporting.text import break_diff_marks, fit_parts, quoted_lines, wrap_lines
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.pair_labels import PairAnswer

#: What a person may press for two replies and for a single one, and what it means.
PAIR_KEYS = {
    "1": (PairAnswer.FIRST, "only 1 right"),
    "2": (PairAnswer.SECOND, "only 2 right"),
    "b": (PairAnswer.BOTH, "both right"),
    "n": (PairAnswer.NEITHER, "neither"),
    "s": (PairAnswer.UNKNOWN, "cannot say"),
}
SINGLE_KEYS = {
    "1": (PairAnswer.FIRST, "right"),
    "n": (PairAnswer.NEITHER, "wrong"),
    "s": (PairAnswer.UNKNOWN, "cannot say"),
}
#: The lines of an input and of a reply, unless all of them are wanted.
_INPUT_LINES, _REPLY_LINES = 8, 14
#: Words of most languages, single characters of those without spaces, spaces, and signs.
_TOKEN = re.compile(r"[^\W\u2e80-\uffff]+|\s+|.", re.DOTALL)
#: Longer parts are marked as a whole, and texts that share less than this are not marked.
_MOST_TOKENS, _LEAST_SHARED = 2_000, 1 / 3
#: The characters that are shown before the first difference of a long text.
_CONTEXT = 200


def keys_of(pair: ShownPair) -> dict[str, tuple[PairAnswer, str]]:
    """Return what a person may press for *pair*: the answer, and its words."""
    return SINGLE_KEYS if pair.second is None else PAIR_KEYS


def pair_lines(
    pair: ShownPair, status: str, instruction: str, *, styled: bool, whole: bool
) -> Iterator[str]:
    """Yield the screen of *pair*.

    *styled* underlines what differs, and otherwise it stands between marks. *whole* shows all of
    long texts.
    """
    yield from wrap_lines(status, 0)
    yield from ("", *wrap_lines(instruction, 0), "")
    most = 10**9 if whole else _INPUT_LINES
    asked = asked_text(pair.case)
    yield from quoted_lines("input", asked, max_lines=most)
    marked, most = marked_texts(pair.first, pair.second), 10**9 if whole else _REPLY_LINES
    is_cut = False
    for name, text in zip(("reply 1", "reply 2"), marked, strict=False):
        yield ""
        shown = text if whole else _from_difference(text, most)
        lines = [*quoted_lines(name, _indented(shown), max_lines=most)]
        is_cut |= shown != text or len(lines) == most
        yield from _styled(lines) if styled else lines
    is_cut |= len(asked) > 60 * _INPUT_LINES
    yield ""
    yield from fit_parts(_key_parts(pair, more=is_cut and not whole), 0)


def _key_parts(pair: ShownPair, *, more: bool) -> Iterator[str]:
    yield from (f"{key} {words}" for key, (_, words) in keys_of(pair).items())
    yield "e neither, and type the right answer" if pair.second else "e wrong, and type the right"
    yield from ["m show all of it"] * more
    yield from ("u undo", "q quit")


def asked_text(case: Case) -> str:
    """Return what a case asks: its input, all turns of a conversation, and its variables."""
    named = [*case.messages, *case.vars.items()]
    return "\n".join([*filter(None, [case.input]), *(f"{name}: {text}" for name, text in named)])


def shown_text(text: str) -> str:
    """Return *text* as it is read: JSON on several lines."""
    try:
        value = json_or_text(text)
        is_nested = isinstance(value, dict | list)
        return json.dumps(value, ensure_ascii=False, indent=2) if is_nested else text
    except RecursionError:
        return text


def marked_texts(first: str, second: str | None) -> list[str]:
    """Return the texts, with ``{+marks+}`` around what differs if they are alike."""
    if second is None:
        return [break_diff_marks(shown_text(first))]
    texts = [_TOKEN.findall(shown_text(text)) for text in (first, second)]
    start, end = _equal_ends(*texts)
    middles = [tokens[start : len(tokens) - end] for tokens in texts]
    blocks = [Match(0, 0, 0)]
    if max(map(len, middles)) <= _MOST_TOKENS:
        matcher = SequenceMatcher(None, middles[0], middles[1], autojunk=False)
        blocks = matcher.get_matching_blocks()
    shared = start + end + sum(block.size for block in blocks)
    is_alike = shared >= _LEAST_SHARED * min(map(len, texts))
    equal = ([(b.a, b.size) for b in blocks], [(b.b, b.size) for b in blocks])
    return [
        "".join(
            f"{{+{break_diff_marks(part)}+}}" if differs and is_alike else break_diff_marks(part)
            for part, differs in (
                ("".join(tokens[:start]), False),
                *_parts(tokens[start : len(tokens) - end], own),
                ("".join(tokens[len(tokens) - end :]), False),
            )
            if part
        )
        for tokens, own in zip(texts, equal, strict=True)
    ]


def _equal_ends(first: list[str], second: list[str]) -> tuple[int, int]:
    """Return how many tokens are equal at the start, and how many others at the end."""
    most = min(len(first), len(second))
    start = next((n for n in range(most) if first[n] != second[n]), most)
    rest = most - start
    end = next((n for n in range(rest) if first[-1 - n] != second[-1 - n]), rest)
    return start, end


def _parts(tokens: list[str], equal: list[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """Yield the parts of *tokens*, each with whether it differs; *equal* has starts and sizes."""
    done = 0
    for start, size in (*equal, (len(tokens), 0)):
        yield "".join(tokens[done:start]), True
        yield "".join(tokens[start : start + size]), False
        done = start + size


def _indented(text: str) -> str:
    """Return *text* with indents that wrapping keeps."""
    blank = "\N{NO-BREAK SPACE}"
    return re.sub(r"^ +", lambda indent: blank * len(indent[0]), text, flags=re.MULTILINE)


def _from_difference(text: str, lines: int) -> str:
    """Return *text*, of which more than *lines* lines are begun shortly before a difference."""
    mark = text.find("{+")
    if mark <= _CONTEXT or (len(text) <= 60 * lines and text.count("\n") < lines):
        return text
    return f"…{text[mark - _CONTEXT :]}"


def _styled(lines: list[str]) -> Iterator[str]:
    """Yield *lines* with escapes of the terminal in place of marks, none of which ends open."""
    is_open = False
    for line in lines:
        head, bar, text = line.partition("│ ")
        before, is_open = is_open, is_open ^ ((line.count("{+") + line.count("+}")) % 2 == 1)
        text = text.replace("{+", "\x1b[1;4m").replace("+}", "\x1b[0m")
        label = text[:10]
        text = f"{label}\x1b[1;4m{text[10:]}" if before else text
        yield f"{head}{bar}{text}\x1b[0m" if is_open else f"{head}{bar}{text}"


def status_text(
    labelled: int, differing: int, looks: tuple[int, float, int, float] | None = None
) -> str:
    """Return how many of the inputs that differ have labels, and when the gate may decide.

    *looks* has the number of labels that the next look takes, and how surely an unchanged variant
    passes then; and the same for the last look.
    """
    text = f"{labelled:,} labelled of {differing:,} that differ"
    if looks is None:
        return text
    size, chance, last, at_last = looks
    if labelled >= size:
        return f"{text}; enough for the next look: quit, and run the gate"
    text += f"; next look at {size:,} (an unchanged variant passes in {percent(chance)})"
    return f"{text}, last at {last:,} ({percent(at_last)})" if last > size else text


def labelled_lines(added: int, left: int, path: str, command: str) -> Iterator[str]:
    """Yield what came of the labelling, and what to do next."""
    yield f"{quantity(added, 'label')} added to {path}; {quantity(left, 'pair')} left"
    if added:
        yield f"commit {path}, and run {command}"


def file_lines(instruction: str, *, is_page: bool) -> Iterator[str]:
    """Yield how a page or a table is labelled."""
    if is_page:
        yield "open it in a browser; it works offline, and saves a file of labels"
        return
    words = "; ".join(f"{key} {words}" for key, (_, words) in PAIR_KEYS.items())
    yield f"write under label: {words}"
    yield from wrap_lines(instruction)


def new_case_lines(written: int, unknown: int, path: str, tag: str) -> Iterator[str]:
    """Yield how many labelled inputs became cases, and how they are added."""
    if written:
        yield f"{quantity(written, 'case')} written to {path}, with the tag {tag}: append them"
        yield from wrap_lines(
            "to the cases. Replies differed on these inputs, so they are harder than most.", 0
        )
    if unknown or not written:
        yield f"{quantity(unknown, 'labelled input')} without a right answer that the score reads"
