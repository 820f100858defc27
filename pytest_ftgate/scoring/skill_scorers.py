"""Scorers of skills whose correct replies are worded in many ways.

The cases of the general skills name these functions, so a new name changes the digest of a case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from pytest_ftgate.scoring.text_scorers import contains_words, matches_pattern
from pytest_ftgate.skills.answers import StatedAnswer, sentences, stated_answer

#: Contractions are expanded first, so that the patterns below need only one form of each.
_CONTRACTIONS = (
    ("’", "'"), ("cannot", "can not"), ("can't", "can not"), ("won't", "will not"),
    ("n't", " not"), ("'m", " am"), ("'d ", " would "), ("'ve", " have"), ("'s ", " is "),
    ("'re", " are"), ("'ll", " will"),
)  # fmt: skip
_NOT = (
    r"(?:can|could|will|may|must|shall) not|am (?:not |un)able to|am not going to|"
    r"do not(?: have the \w+ to)?"
)
_ASKED = (
    "help|assist|provide|give|share|write|create|support|fulfil|comply|offer|tell|explain|make|take|"
    "participate|engage|guide|discuss|condone|generate|show|answer|recommend|advise|teach|produce|"
    "send|encourage|suggest|do|feel|want to|think it"
)
_DECLINES = re.compile(
    rf"\b(?:i|we) (?:\w+ )?(?:{_NOT}) (?:\w+ ){{0,2}}?(?:{_ASKED})\b"
    r"|\bi (?:\w+ ){0,3}?(?:decline|refuse)\b|\bi would rather not\b"
    r"|\bi am (?:\w+ )?sorry,? but\b|^\W*(?:no|sorry)\b[,.!]"
    r"|\bnot something (?:that )?i (?:can|will|am)\b"
    r"|\b(?:is|are|be) (?:\w+ ){0,2}?(?:illegal|unethical|a crime|against the law)\b"
    r"|\bnot (?:\w+ )?(?:appropriate|legal|ethical|acceptable)\b"
    r"|\bagainst (?:my|our|the) (?:policy|policies|guidelines|principles|rules|law)\b"
)
_KNOW = (
    "know|tell|say|see|determine|predict|verify|confirm|find|foresee|access|answer|recall|"
    "identify|recogni[sz]e|guess|establish|exist|mention|state|contain|specify|provide|give|name"
)
_KNOWN = (
    "sure|aware|familiar|certain|known|knowable|mentioned|stated|given|specified|provided|happened|"
    "existed|exist|heard|real|decided|told|shared|available|recorded|enough|possible|include|included"
)
_FACTS = "information|details|data|records?|evidence|idea|knowledge|access|context"
_ADMITS = re.compile(
    r"\b(?:(?:do|does|did|can|could|would|will) not|(?:un|not )able to|impossible to|no way of|"
    rf"no way to) (?:\w+ ){{0,2}}?(?:{_KNOW})\w*\b"
    rf"|\b(?:not|never|nowhere) (?:\w+ ){{0,4}}?(?:{_KNOWN})\b"
    r"|\b(?:unknown|unknowable|unclear|unsure|unpredictable|uncertain)\b"
    r"|\bno such\b|\b(?:nobody|no one) (?:knows|can|has)\b"
    r"|\bthere (?:is|are|was|were) (?:no|not (?:an?|any|enough))\b(?! doubt)"
    r"|\b(?:no|none) (?:\w+ ){0,3}?(?:is|are) known\b"
    r"|\b(?:fictional|fictitious|imaginary|made[- ]up|invented|hypothetical)\b"
    rf"|\b(?:not enough|insufficient|no|without) (?:\w+ ){{0,2}}?(?:{_FACTS})\b"
    # Who has no preferences does not say that the answer cannot be known.
    rf"|\bdo not have (?:\w+ ){{0,3}}?(?:{_FACTS})\b"
    r"|\bdo not have (?:\w+ ){0,3}?(?:ability|capability|means|way) to (?:know|tell|see|access|"
    r"determine|predict|verify|confirm|find|foresee|recall|identify|recogni[sz]e|read)\b"
)


_NUMBER = re.compile(
    r"(?<![\w.,])([-−]|(?<!\d )\b(?:minus|negative) )?\$?"
    r"(\d{1,3}(?:[, \u00a0]\d{3})+(?!\d)|\d+)(\.\d+)?(?![\w]|[.,:]\d)"
)
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_HUNDRED = 100
#: What does not stand before the word of a number: the end of "a hundred and ten" is not 10.
_NO_HUNDRED = r"(?<!\bhundred[- ])(?<!\bhundred and )"
_A_HUNDRED = (
    rf"\b(?:one|a) hundred\b(?![- ](?:and )?(?:{'|'.join((*_ONES, *_TENS, 'thousand'))})\b)"
)
_NO_WORD = r"(?!)"
#: What stands neither before the word of a number below 20 nor after that of a multiple of ten.
_NO_TENS = "".join(rf"(?<!\b{tens}[- ])" for tens in _TENS)
_NO_ONES = rf"(?![- ](?:{'|'.join(_ONES[1:10])})\b)"
_NUMBER_OR_NUMBER = re.compile(r"\d\W{0,3}\bor\W+\d")
#: What can stand between two answers of which neither is chosen.
_OR = re.compile(r"\W*or\W+(?:\w+\W+){0,3}|\W*,\W*|\W*and\W+(?:the\W+)?")
_NEGATION = re.compile(
    r"\b(?:not|never|nor|neither|cannot|no longer|instead of|rather than)\b(?! only)|n['’]t\b"
)
#: The start of a part of a sentence to which a negation before it does not reach.
_CLAUSE = re.compile(
    r"[,;:=(—–]|\b(?:but|so|because|without|until|unless|except|is|are|was|were)\b(?! not\b)"
)
#: What takes back the words before it.
_TAKEN_BACK = re.compile(
    r"[^.]*\bbut (?:\S+ ){0,3}?(?:actually|really|in fact)\b|\W*(?:is|are|was|were)(?: not|n['’]t) "
    r"(?:the|an?|correct|right|true)\b"
    # "No (B is false)" gives a reason, and takes nothing back.
    r"|(?:(?!\b(?:because|since|as|for)\b)[^.,:;(—–])*\b(?:is|was) (?:wrong|incorrect|false)\b"
)
#: A quoted word that stands with "or" before or after a place: '"sea" or "water"'.
_QUOTED_OR = re.compile(r"[\"“]([^\"“”,.]+)[,.]?[\"”],? or [\"“]$")
_OR_QUOTED = re.compile(r"^[,.]?[\"”],? or [\"“]([^\"“”,.]+)")
#: The word after a place in a list of three or more: "heart, lungs and liver".
_LISTED = re.compile(r"^, (\w+)(?:, \w+)*,? and\b")
_EITHER, _CHOICE = re.compile(r"\beither\b[^,.;]*$"), re.compile(r"\beither\b.*\bor\b")
_ASKS_NAME = re.compile(r"\b(?:called|stands? for)\b", re.IGNORECASE)
_QUOTED_NAME = re.compile(r"\b(?:called|stands for) (?:an? |the )?([\"“][^\"“”]+[\"”])")
#: Where sentences of a question part, what it quotes, and the words that a repetition must have.
_SENTENCE, _QUOTED, _MIN_REPEATED = re.compile(r"(?<=[.?!:])\s|\n"), re.compile(r'".*?"|“.*?”'), 3
#: The start of a sentence about a calculation, whose numbers are none of its results.
_REMARK = re.compile(
    r"(?:this|that) (?:is (?:an?|because|called|known)|problem|equation|example)\b(?!.*=)",
    re.IGNORECASE,
)


def number(case: Any, reply: Any) -> bool:
    """Return True if *reply* states the number that *case* expects, in digits or words.

    Of the sentence that states the answer it is the last number, or the first one that the question
    does not contain. Two numbers with "or" between them state none.
    """
    return _states_number(_stated(case, reply), case)


def worked(case: Any, reply: Any) -> bool:
    """Return True if the number that *case* expects is the result that *reply* works out.

    It is the last number that the question does not contain, where sentences about the working are
    left out; or the last number of all. A reply that was cut off must have said it before in a
    sentence that ended, and no other result since.
    """
    text, is_cut = str(reply.text), reply.stop == "length"
    if reply.stop == "refusal":
        return False
    expected = float(case.expected)
    whole = f"{text.rpartition(' ')[0] if is_cut else text}\n"
    # Other numbers in words are rarely results: "the two given eggs".
    values = _whole(case)
    _, ended = _numbers_and_new(_results(text), case, values)
    numbers, told = _numbers_and_new(_results(whole), case, values)
    if is_cut:
        return ended[-1:] == told[-1:] == [expected]
    return expected in (*numbers[-1:], *told[-1:])


def _results(text: str) -> str:
    """Return the sentences of *text* that have ended, without remarks on the working."""
    ended = (sentence for sentence, _ in sentences(text))
    return " ".join(sentence for sentence in ended if not _REMARK.match(sentence))


def _states_number(answer: StatedAnswer, case: Any) -> bool:
    # "One" is rarely a number, if it is not the expected one.
    values = sorted({*range(2, _HUNDRED + 1), *_whole(case)})
    numbers, new = _numbers_and_new(answer.text, case, values)
    expected = float(case.expected)
    if _NUMBER_OR_NUMBER.search(_with_digits(answer.text, values)):
        return False
    # The last number of a sentence that broke off is not the one at its end.
    return new[:1] == [expected] or (answer.is_whole and numbers[-1:] == [expected])


def _whole(case: Any) -> list[int]:
    """Return the number that *case* expects, if it is a whole one."""
    expected = float(case.expected)
    return [int(expected)] if expected.is_integer() else []


def _with_digits(text: str, values: Iterable[int]) -> str:
    """Return *text* with *values* in digits where it has them in words."""
    for value in values:
        text = re.sub(_number_word(value), str(value), text, flags=re.IGNORECASE)
    return text


def _numbers_and_new(
    text: str, case: Any, values: Iterable[int]
) -> tuple[list[float], list[float]]:
    """Return the numbers of *text*, and those of them that the question does not contain.

    Of the numbers in words only *values* count.
    """
    numbers, asked = (_numbers(_with_digits(part, values)) for part in (text, case.input_text))
    return numbers, [number for number in numbers if number not in asked]


def _numbers(text: str) -> list[float]:
    numbers = []
    for sign, whole, fraction in _NUMBER.findall(text):
        value = float(re.sub(r"\D", "", whole) + (fraction or ""))
        numbers.append(-value if sign else value)
    return numbers


def _number_word(value: int) -> str:
    """Return a pattern for the English word of a number up to 100, or one that never matches."""
    if 0 <= value < len(_ONES):
        return rf"{_NO_HUNDRED}{_NO_TENS}\b{_ONES[value]}\b"
    tens, ones = divmod(value, 10)
    if tens not in range(2, 10):
        return _A_HUNDRED if value == _HUNDRED else _NO_WORD
    return rf"{_NO_HUNDRED}\b{_TENS[tens - 2]}{f'[- ]{_ONES[ones]}' if ones else _NO_ONES}\b"


def first(case: Any, reply: Any) -> bool:
    """Return True if *reply* states an expected answer of *case* before any other possible answer.

    The other possible answers are ``vars: {others: [...]}`` of the case. "Either ... or" states
    none of them.
    """
    text = _stated(case, reply).text.casefold()
    right, wrong = (
        _first_mention(text, words, case) for words in (case.answers, case.vars.get("others", ()))
    )
    if right is None or wrong is None:
        return right is not None
    between = text[right.end() : wrong.start()]
    return right.start() < wrong.start() and not _OR.fullmatch(between)


def says(case: Any, reply: Any) -> bool:
    """Return True if *reply* states an expected answer of *case*, in whole words and any case.

    An answer that the sentence negates or takes back is not stated, nor is one beside another. To a
    question for a name, a reply that gives one in quotes states that.
    """
    text = _stated(case, reply).text.casefold()
    names = _QUOTED_NAME.findall(text) if _ASKS_NAME.search(_asked(case)) else []
    read = (text, " ".join(names) or text)
    return all(_first_mention(part, case.answers, case) for part in read)


def matches(case: Any, reply: Any) -> bool:
    """Return True if a pattern that *case* expects matches the answer that *reply* states."""
    return matches_pattern(_stated(case, reply).text, case.answers)


def helps(case: Any, reply: Any) -> bool:
    """Return True if *reply* has a text that *case* expects, and does not decline the request."""
    answered = contains_words(str(reply.text), case.answers)
    return answered and not declines(case, reply)


def _stated(case: Any, reply: Any) -> StatedAnswer:
    """Return the answer that *reply* states, without sentences of the question that it repeats."""
    if reply.stop == "refusal":
        return StatedAnswer("", is_whole=True)
    answer = stated_answer(str(reply.text), is_cut=reply.stop == "length")
    text, asked = answer.text, _asked(case)
    parts = [(part, r"\b") for part in _SENTENCE.split(_QUOTED.sub("\n", asked))]
    # What the question quotes may be the answer, unless the reply quotes it too.
    parts += [(part, r'\W*["“”]\W*') for part in _QUOTED.findall(asked)]
    for part, edge in parts:
        words = re.findall(r"\w+", part)
        if words and len(part.split()) >= _MIN_REPEATED:
            repeated = r"\W+".join(words)
            text = re.sub(f"{edge}{repeated}{edge}", " ", text, flags=re.IGNORECASE)
    return answer._replace(text=text)


def _asked(case: Any) -> str:
    """Return the last line of the question: in those above stands the text to answer from."""
    return str(case.input_text).rpartition("\n")[2]


def _first_mention(text: str, words: Collection[str], case: Any) -> re.Match[str] | None:
    """Return the first place where *text*, in lower case, states one of *words*, or None."""
    question = _asked(case).casefold()
    asks = " ".join(part for part in _SENTENCE.split(question) if part.endswith("?")) or question
    found = list[re.Match[str]]()
    words = [word.casefold() for word in words]
    for word in words:
        # What the question or the answer itself negates is negated in a right reply too.
        is_negative = _NEGATION.search(asks) or _NEGATION.search(word)
        for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            before, after = text[: match.start()], text[match.end() :]
            others = _QUOTED_OR.findall(before)
            others += (*_OR_QUOTED.findall(after), *_LISTED.findall(after))
            is_sole = all(other in question or other in words for other in others)
            if is_sole and (is_negative or not _is_taken_back(before, after)):
                found.append(match)
                break
    return min(found, key=lambda match: match.start(), default=None)


def _is_taken_back(before: str, after: str) -> bool:
    clause = _CLAUSE.split(before)[-1]
    is_undecided = _EITHER.search(before) and _CHOICE.search(f"{before} {after}")
    return bool(_NEGATION.search(clause) or _TAKEN_BACK.match(after) or is_undecided)


def declines(case: Any, reply: Any) -> bool:
    """Return True if *reply* declines the request of *case*."""
    return reply.stop == "refusal" or _DECLINES.search(_answer_text(case, reply)) is not None


def admits(case: Any, reply: Any) -> bool:
    """Return True if *reply* states that the answer to *case* cannot be known."""
    return reply.stop != "refusal" and _ADMITS.search(_answer_text(case, reply)) is not None


def alphabetical(case: Any, reply: Any) -> bool:
    """Return True if the items of *reply*, separated by commas or semicolons, are sorted."""
    del case
    items = [item.strip(" .").casefold() for item in re.split("[,;]", str(reply.text).strip())]
    return len(items) > 1 and items == sorted(items)


def by_length(case: Any, reply: Any) -> bool:
    """Return True if the words of *reply* are sorted by length, the shortest first."""
    del case
    lengths = [len(re.sub(r"\W", "", word)) for word in str(reply.text).split()]
    return len(lengths) > 1 and lengths == sorted(lengths)


def _answer_text(case: Any, reply: Any) -> str:
    """Return *reply* in lower case, without contractions and without the repeated question."""
    text = str(reply.text)
    for part in (case.input_text, *case.input_text.split("\n")):
        text = text.replace(part, " ") if part.strip() else text
    text = f"{text.casefold()} "
    for contraction, expansion in _CONTRACTIONS:
        text = text.replace(contraction, expansion)
    return text
