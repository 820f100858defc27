"""Numbers as text, and templates of sentences that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from string import Formatter
from typing import Any

_MINUS = "−"
NO_CHANGE = "no change"
#: What differs by less than this is equal; it is shown by no decimal.
VISIBLE = 0.0005
#: What an amount of a run is called, by its unit. A record is read without NumPy, which makes them.
RUN_AMOUNTS: Mapping[str, str] = {
    "usd_per_run": "cost of a run",
    "usd_per_success": "cost per success",
    "tokens": "tokens of a run",
    "seconds": "seconds of a run",
    "tool_calls": "tool calls of a run",
}


def percent(share: float, digits: int = 0) -> str:
    """Return a share as ``61 %``, or with *digits* decimals.

    It has one decimal if it rounds to 0 or 100 without being it.
    """
    rounded = round(share * 100)
    if digits:
        return f"{share * 100:.{digits}f} %"
    exact = share * 100
    if rounded in (0, 100) and abs(exact - rounded) > 0.05:  # noqa: PLR2004 - shown as 99.6 %
        return f"{exact:.1f} %"
    return f"{rounded} %"


def declared_percent(share: float) -> str:
    """Return a limit in percent as it is declared: ``85 %``, ``85.3 %``."""
    return f"{unsigned_points(share)} %"


def share_change(before: float, after: float, digits: int = 0) -> str:
    """Return two shares as ``61 → 24 %``."""
    return f"{percent(before, digits).removesuffix(' %')} → {percent(after, digits)}"


def points(change: float, digits: int = 0) -> str:
    """Return a change of a share in points, signed: ``−47``."""
    value = round(change * 100, digits)
    sign = "+" if value > 0 else _MINUS if value < 0 else ""
    return f"{sign}{abs(value):.{digits}f}" if value else "0"


def unsigned_points(share: float) -> str:
    """Return a limit in points, unsigned, as it is declared: ``5``, ``2.5``."""
    return f"{round(abs(share) * 100, 2):g}"


def in_points(share: float) -> str:
    """Return a limit with its unit: ``5 points``, ``1 point``."""
    number = unsigned_points(share)
    return f"{number} {'point' if number == '1' else 'points'}"


def builds_passed(checks: int, passes: float) -> str:
    """Return how many builds an unchanged variant passes, each with so many checks."""
    return f"{percent(passes)} or more of builds with {quantity(checks, 'check')}"


def quantity(number: int, noun: str) -> str:
    """Return a number with its *noun*, as ``1 case``, ``1,200 cases`` or ``2 replies``."""
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("ly") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def usd(money: Decimal | float) -> str:
    """Return an amount as ``0.42 USD``: below 1 USD with three figures, at least two decimals."""
    value = float(money)
    figures = f"{value:,.2f}" if value >= 1 else _to_three_figures(value)
    return f"{figures} USD"


def _to_three_figures(value: float) -> str:
    exact = f"{Decimal(f'{value:.3g}'):f}"
    whole, _, decimals = exact.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def milliseconds(value: float) -> str:
    """Return milliseconds as ``1,500 ms``, with two figures if below 10."""
    return f"{value:.2g} ms" if value < 10 else f"{value:,.0f} ms"  # noqa: PLR2004


def file_size(count: int) -> str:
    """Return a number of bytes as ``120 kB`` or ``1.4 MB``."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"  # noqa: PLR2004


def amount(value: float, unit: str) -> str:
    """Return *value* as text in its *unit*, which ``Figure`` names, or is what is counted.

    Seconds and calls have three figures if below 100: ``61.2 s``, ``12.3 calls``.
    """
    if unit == "share":
        return percent(value)
    if unit == "ms":
        return milliseconds(value)
    if unit.startswith("usd"):
        return usd(value)
    is_measured = unit in ("seconds", "tool_calls")
    text = f"{value:.3g}" if is_measured and value < 100 else f"{value:,.0f}"  # noqa: PLR2004
    if unit == "seconds":
        return f"{text} s"
    noun = unit.removeprefix("tool_")
    return f"{text} {noun.removesuffix('s') if text == '1' else noun}"


#: Parts that have a word.
_PARTS = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 5: "a fifth", 1 / 10: "a tenth"}


def times(ratio: float) -> str:
    """Return a ratio as it stands before "as long": ``2.3 times``, ``half`` or ``11 %``."""
    if ratio >= 1:
        text = f"{ratio:,.1f}".removesuffix(".0")
        return "twice" if text == "2" else f"{text} times"
    near = min(_PARTS, key=lambda part: abs(part - ratio))
    is_near = abs(ratio / near - 1) <= 0.05  # noqa: PLR2004 - as good as the word
    return _PARTS[near] if is_near else percent(ratio)


def digits_beside(limit: float, *shares: float | None) -> int:
    """Return 1 if whole percent hide on which side of *limit*, or whether on it, a share is.

    So they do if the limit itself has a decimal. Else it is 0.
    """
    whole = round(limit * 100)
    hides = (
        share is not None and round(share * 100) == whole and abs(share - limit) >= VISIBLE
        for share in shares
    )
    return int(round(limit * 100, 2) % 1 > 0 or any(hides))


def signed_percent(share: float) -> str:
    """Return a relative change, signed: ``+23 %``."""
    return f"{points(share)} %"


# Changes and intervals --------------------------------------------------------------------------


def level(value: float, unit: str = "share", digits: int = 0) -> str:
    """Return a value in its unit: ``98 %``, ``0.42 USD``, ``1,500 ms``."""
    return percent(value, digits) if unit == "share" else amount(value, unit)


def change_size(change: float, digits: int = 0) -> str:
    """Return a change of a share: ``down 11 points``, ``up 1 point``, ``no change``."""
    text = f"{abs(change) * 100:,.{digits}f}"
    if not float(text.replace(",", "")):
        return NO_CHANGE
    return f"{'down' if change < 0 else 'up'} {text} {'point' if text == '1' else 'points'}"


def span(low: float | None, high: float | None, digits: int = 0) -> str:
    """Return the bounds of a change in points: ``8 to 15``, ``8 down to 1 up``; "" for none.

    Where both lie on one side, the size of the change says on which. Bounds that would read alike
    have a decimal more.
    """
    if (low is None and high is None) or low == high:
        return ""
    down = [None if bound is None else round(-bound * 100, digits) for bound in (low, high)]
    if low is not None and high is not None and down[0] == down[1]:
        return span(low, high, digits + 1) if high - low >= VISIBLE else ""
    known = [bound for bound in down if bound is not None]
    if all(bound >= 0 for bound in known):
        return _bounds(down[1], down[0], digits)
    if all(bound <= 0 for bound in known):
        up = [None if bound is None else -bound for bound in down]
        return _bounds(up[0], up[1], digits)
    return f"{down[0]:.{digits}f} down to {-(down[1] or 0.0):.{digits}f} up"


def level_span(low: float | None, high: float | None, unit: str = "share", digits: int = 0) -> str:
    """Return the bounds of a level: ``60 to 79 %``, ``0.40 to 0.44 USD``; "" if there are none."""
    if (low is None and high is None) or low == high:
        return ""
    if low is None or high is None:
        texts = ["" if one is None else level(one, unit, digits) for one in (low, high)]
        return _joined_bounds(*texts)
    if unit == "share":
        return f"{low * 100:.{digits}f} to {high * 100:.{digits}f} %"
    first, last = (amount(bound, unit) for bound in (low, high))
    return f"{first.partition(' ')[0]} to {last}"


def _bounds(low: float | None, high: float | None, digits: int) -> str:
    texts = ["" if bound is None else f"{abs(bound):.{digits}f}" for bound in (low, high)]
    return _joined_bounds(*texts)


def _joined_bounds(low: str, high: str) -> str:
    if low and high:
        return f"{low} to {high}"
    return f"{low} or more" if low else f"{high} or less"


def interval_text(bounds: str) -> str:
    """Return *bounds* with what they are: ``95 % CI 8 to 15``; "" for none."""
    return f"95 % CI {bounds}" if bounds else ""


def with_more(text: str, more: str) -> str:
    """Return *text*, and *more* in brackets after it unless that is ""."""
    return f"{text} ({more})" if more else text


def short_change(change: float, low: float | None, high: float | None, digits: int = 0) -> str:
    """Return a change with its interval as it stands in a table: ``down 9 (3 to 15)``."""
    text = change_size(change, digits).removesuffix("s").removesuffix(" point")
    return with_more(text, span(low, high, digits))


def change_text(change: float, low: float | None, high: float | None, digits: int = 0) -> str:
    """Return a change with its interval: ``up 5 points (95 % CI 2 to 8)``."""
    return with_more(change_size(change, digits), interval_text(span(low, high, digits)))


def least_to_most(least: str, most: str) -> str:
    """Return two figures as ``1,075 to 1,419``, or equal ones as one."""
    return least if least == most else f"{least} to {most}"


def first_names(names: Sequence[str], most: int = 4, total: int = 0) -> str:
    """Return the first of *names*, and how many more there are: ``t006, t007 and 33 more``.

    *total* is how many there are if *names* are only the first of them.
    """
    more = max(total, len(names)) - len(names[:most])
    return ", ".join(names[:most]) + (f" and {more:,} more" if more else "")


# Templates --------------------------------------------------------------------------------------

#: What words a kind has: a template, or what makes them of the values.
Words = str | Callable[[Mapping[str, Any]], str]


#: How a template writes a value, by what stands after the colon: ``{before:percent}``.
_STYLES: Mapping[str, Callable[[Any], str]] = {
    "percent": percent,
    "points": points,
    "size": unsigned_points,
    "signed": signed_percent,
    "usd": usd,
    "ms": milliseconds,
    "limit": lambda share: f"{share * 100:.3g}",
    "days": lambda days: f"{days:,.{int(days < 2)}f} days",  # noqa: PLR2004 - 0.2 days
    "list": ", ".join,
    "p": lambda p: f"p = {p:.3f}" if p >= 0.001 else "p < 0.001",  # noqa: PLR2004
}


#: What values need not have: some steps lack them, and some notes of an older record.
_ABSENT: Mapping[str, Any] = {
    "where": "", "after_fixes": False, "runs": False, "minimum": False, "record": "",
    "again": False, "variant": "", "counted": False,
}  # fmt: skip


class _Template(Formatter):
    """A template whose fields may have a style, or words that depend on the value."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key == "gain":
            found = kwargs["change"], kwargs["low"], kwargs["high"]
            # What a change is compared with stands in the same sentence.
            beside = kwargs.get("required")
            return change_text(*found, 0 if beside is None else digits_beside(beside, *found))
        if key == "span":
            ends = kwargs["low"], kwargs["high"]
            return span(*ends, digits_beside(-kwargs["margin"], *ends))
        if isinstance(key, str) and key in _ABSENT:
            return kwargs.get(key, _ABSENT[key])
        return super().get_value(key, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> Any:
        if format_spec.startswith("#"):
            return quantity(value, format_spec[1:])
        if format_spec.startswith("?"):
            return format_spec[1:].replace("#", str(value)) if value else ""
        if "/" in format_spec:
            return format_spec.split("/")[value != 1]
        style = _STYLES.get(format_spec)
        return style(value) if style else super().format_field(value, format_spec)


#: What cases and their replies are called where they are tasks and runs of an agent.
_OF_TASKS = (("replies to", "runs of"), ("reply to", "run of"), ("replies", "runs"),
             ("reply", "run"), ("case", "task"))  # fmt: skip


class _TaskTemplate(_Template):
    """A template that says tasks and runs, in place of cases and replies."""

    def parse(self, format_string: Any) -> Iterator[Any]:
        for text, field, style, conversion in super().parse(format_string):
            # A style with a field of its own has the noun as a value.
            plain = style if not style or "{" in style else in_words_of_tasks(style)
            yield in_words_of_tasks(text), field, plain, conversion


def in_words_of_tasks(text: str) -> str:
    """Return *text* of our own about tasks and runs, in place of cases and replies."""
    for word, other in _OF_TASKS:
        text = text.replace(word, other)
    return text


def fill(words: Words, values: Mapping[str, Any]) -> str:
    """Return *words* with *values*; if their *noun* is ``task``, about tasks and runs.

    A field of a template has a style of Python, such as ``{n:,}``, one of ours, such as
    ``{rate:percent}``, or a noun: ``{n:#case}``. ``{n:is/are}`` is a verb; ``{n:? and # more}``
    stands only if there are any, with the value for the hash. ``{gain}`` is the change with its
    interval, ``{span}`` the interval alone.
    """
    if callable(words):
        return words(values)
    template = _TaskTemplate() if values.get("noun") == "task" else _Template()
    return template.vformat(words, (), values)
