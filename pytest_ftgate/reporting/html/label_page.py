"""The page to label pairs of replies in: one file that loads nothing and saves labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pytest_ftgate.reporting.html.page import (
    content_security_policy,
    joined_script,
    read_template,
    rendered,
)
from pytest_ftgate.reporting.label_screen import PAIR_KEYS, SINGLE_KEYS

_SCRIPTS = ("elements.js", "differences.js", "label.js")


def label_page(pairs: Sequence[Mapping[str, Any]], instruction: str, by: str) -> str:
    """Return the page of *pairs*.

    Args:
        pairs: ``label`` with the keys of a label but the answer, ``asked``, and ``replies``.
        instruction: what people are asked.
        by: the name that the page begins with, or "".
    """
    style = read_template("page.css") + read_template("label.css")
    script = joined_script(_SCRIPTS)
    keys = {"pair": PAIR_KEYS, "single": SINGLE_KEYS}
    page = rendered(
        "label.html",
        instruction=instruction,
        by=by,
        data=_data({"pairs": pairs, "keys": keys}),
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704 - the same
        policy=content_security_policy(style, script),
    )
    return f"{page}\n"


def _data(value: Any) -> Markup:
    """Return *value* as JSON that ends no element and holds no character that acts."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704 - escaped
