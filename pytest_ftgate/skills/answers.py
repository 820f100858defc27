"""Where in a reply the answer stands: the sentence that states it, or the code.

One rule for two readers. Scorers read the answer where `stated_answer` finds it, and providers that
write a reply token by token end it where `sentence_end` and `code_end` say. So a reply that was
ended has the answer of the whole reply, unless a later "the answer is" would have replaced it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_MONTH = "(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
#: The months and the century of German, which has a point after the number before them.
_MONTHS = "Jan|Feb|März|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jahrh"
#: The start of such a word, at the end of a text that may go on with it.
_BEGUN = "|".join({month[:n] for month in _MONTHS.split("|") for n in range(1, len(month))})
#: The end of a sentence: a mark before space and no small letter, a mark of East Asian writing, or
#: the end of a line. An ellipsis ends none, nor does a point after an initial, after a common
#: abbreviation, in a date ("9. November", "Nov. 9"), or after the number of a step at the start of
#: a line. Steps begin with 1: another number at the start of the text is an answer.
_END = re.compile(
    r"(?:[.!?](?<!\.\.)(?<!\b[A-Z]\.)(?<!\b[DMS][rst]\.)(?<!\bMrs\.)(?<!\bvs\.)"
    r"(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bca\.)(?<!\bz\.)(?<!\bProf\.)(?<!\bapprox\.)"
    r"(?<!^\d\.)(?<!^\d\d\.)"
    rf"(?!(?<=\b{_MONTH}\.) \d)(?!(?<=\bN[or]\.) \d)"
    r"|(?<=\A[02-9])\.|(?<=\A[1-9]\d)\."
    # "The letter is K." ends a sentence, "John F. Kennedy" does not.
    r"|(?<=\bis [A-Z])\.|(?<=\bletter [A-Z])\.)"
    r"[\"'”’)*]*(?=[^\S\n]+[^\sa-z])"
    rf"(?!(?<=\d\.) (?:{_MONTHS}|(?:{_BEGUN})\Z))|[。！？]|\n",
    re.MULTILINE,
)
#: What stands before an answer: a heading, a step of working, an apology, a courtesy, a title.
_LEAD_IN = re.compile(
    r"#{1,6} [^.!]*$"
    r"|\W*(?:\d{1,2}[.)] |to (?:solve|find|answer|calculate|compute|determine|work|figure)\b"
    r"|to \w+ [^,.]*, (?:we|let)\b|let(?:['’]s| us| me)\b|(?:first|firstly|step \d+)[,:]"
    r"|(?:we|you|i) (?:can|could|will|need to|have to|must|should) (?:start|begin|use|first)\b"
    r"|(?:this is |this )?(?:an? )?classic\b"
    r"|the (?:puzzle|question|problem|riddle) (?:says|states|asks|is asking)\b"
    r"|i(?: am|['’]m) (?:\w+ )?sorry for\b(?!.*\b(?:but|not|n['’]t|unable)\b)"
    r"|i(?: am|['’]m) (?:glad|happy) (?:you|to)\b"
    r"|(?:sure(?: thing)?|certainly|absolutely|of course|okay|ok|noted|got it|hmm+|here you go"
    r"|(?:that(?:['’]s| is) )?(?:an? )?(?:great|good|excellent|interesting|nice) question"
    r"|(?:i(?:['’]d| would) be )?(?:happy|glad) to help(?: you)?(?: with (?:that|this))?"
    r"|i can help(?: you)?(?: with (?:that|this))?|thanks for asking"
    r"|here(?:['’]s| is) (?:the|my|your) (?:answer|solution|translation)"
    r"|natürlich|gerne?|klar|bien sûr|(?:desde )?claro(?: que sí)?|por supuesto|certo|certamente"
    r"|当然(?:可以)?|もちろん(?:です)?)\W*$"
    r"|(?:the |final |short )*(?:answer|solution|result|output|explanation|reasoning|antwort|lösung"
    r"|réponse|respuesta|risposta|resposta|antwoord|svar)[^\w.!]*$)",
    re.IGNORECASE,
)
#: A line of marks alone, of a fence and the name of a language, or that opens a formula.
_MARKS = re.compile(r"```\w*|\\[\[\](){}]|[\s*_#>~|:$-]*")
_MARKER = re.compile(
    r"\b(?:answer|(?:output|result)(?: of (?:this|the) \w+)?)"
    r"(?: (?:is|will be|would be)\b(?! not\b)|\W{0,3}[:=])",
    re.IGNORECASE,
)
#: A block of code, from the line that opens it to the one that closes it.
_CODE = re.compile(r"^ {0,3}(```+|~~~+)[^`\n]*\n(?:.*\n)*? {0,3}\1[ \t]*\n", re.MULTILINE)
#: The scorers of the bundled skills that read a stated answer, by the name that cases give.
_SENTENCE_SCORERS = frozenset(
    f"pytest_ftgate.scoring.skill_scorers:{name}" for name in ("says", "matches", "first", "number")
)


class StatedAnswer(NamedTuple):
    """An answer, and whether it is whole: not broken off at a token limit."""

    text: str
    is_whole: bool


def answer_end_of(kind: str, value: object) -> Literal["sentence", "code", ""]:
    """Return with what the answer of a skill's case ends, by the *kind* and *value* of its score.

    The answer ends with the sentence that states it, with the first block of code, or ("") with the
    reply. Nothing is known of a case that has a format too: a format is that of the whole reply.
    """
    if kind == "python" and value in _SENTENCE_SCORERS:
        return "sentence"
    return "code" if kind == "code" else ""


def stated_answer(text: str, *, is_cut: bool = False) -> StatedAnswer:
    """Return the sentence of *text* that states its answer, "" if none does.

    It is the one after the last "the answer is", or else the first one that is neither a question
    nor a lead-in. If the reply has lead-ins alone, it is the last of them. If *is_cut*, the reply
    broke off at its token limit: its last word may be half a word and does not count.
    """
    for marker in reversed([*_MARKER.finditer(text)]):
        found = _first_statement(text[marker.end() :], is_cut=is_cut)
        if found.text:
            return found
    return _first_statement(text, is_cut=is_cut)


def _first_statement(text: str, *, is_cut: bool) -> StatedAnswer:
    start, step = 0, ""
    for sentence, end in sentences(text):
        if _is_statement(sentence):
            return StatedAnswer(sentence, is_whole=True)
        step, start = sentence if _is_step(sentence) else step, end
    rest = text[start:].strip()
    if _is_statement(rest):
        return StatedAnswer(rest.rpartition(" ")[0] if is_cut else rest, is_whole=not is_cut)
    step = rest if _is_step(rest) else step
    return StatedAnswer("" if is_cut else step, is_whole=not is_cut)


def sentences(text: str) -> Iterator[tuple[str, int]]:
    """Yield each sentence of *text* that has ended, and where it ends."""
    start = 0
    for match in _END.finditer(text):
        sentence = text[start : match.end()].strip()
        start = match.end()
        if sentence:
            yield sentence, start


def _is_statement(sentence: str) -> bool:
    return _is_step(sentence) and not _LEAD_IN.match(sentence)


def _is_step(sentence: str) -> bool:
    """Return True if *sentence* says something: it neither asks nor announces."""
    ends = sentence.rstrip("*_").endswith(("?", ":", "？", "："))
    return not (ends or _MARKS.fullmatch(sentence))


def sentence_end(text: str) -> int | None:
    """Return where the answer of *text* ends, or None if *text* may go on with it.

    It ends with the first sentence that states something. A longer text has the same end.
    """
    ends = (end for sentence, end in sentences(text) if _is_statement(sentence))
    return next(ends, None)


def code_end(text: str) -> int | None:
    """Return where the first block of code in *text* ends, or None if it has not ended."""
    block = _CODE.search(text)
    return block.end() if block else None
