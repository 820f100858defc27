"""Figures as SVG inside a page: in its colours, with its fonts, and without styles of their own.

The page's policy forbids inline styles, so each becomes an attribute, or the class of a colour
that the page gives: so a figure follows the page from light to dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # of what is drawn here, nothing foreign

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "inlined"]

#: The colours that figures are drawn in, by the name that the page gives them.
COLOURS = {
    "ink": "#1a1c1f",
    "muted": "#5a6169",
    "line": "#d9dce0",
    "back": "#fefefe",
    "blue": "#0072b2",
    "red": "#d55e00",
    "green": "#009e73",
    "amber": "#e69f00",
    "violet": "#cc79a7",
    "sky": "#56b4e9",
}
_NAMES = {value: name for name, value in COLOURS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(\d+(?:\.\d+)?)px")


def inlined(figure: Figure, name: str, told: str) -> str:
    """Return *figure* as an ``<svg>`` element.

    Args:
        figure: drawn in COLOURS.
        name: of the figure, unique in its page.
        told: what it shows, for those who do not see it.
    """
    from matplotlib import rc_context

    raw = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # Names in scripts that the fonts here lack are drawn by the browser, in its own.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(raw, format="svg", metadata={"Date": None}, transparent=True)
    root = ET.fromstring(raw.getvalue())  # noqa: S314 - written in the line above
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag != f"{_SVG}style" and "metadata" in one.tag]:
            parent.remove(child)
        for child in [one for one in parent if one.tag == f"{_SVG}style"]:
            parent.remove(child)
    for element in root.iter():
        _plain(element)
    _name(root, name)
    for gone in ("width", "height", "version"):
        root.attrib.pop(gone, None)
    root.attrib |= {"class": "plot", "role": "img", "aria-label": told}
    ET.register_namespace("", _SVG.strip("{}"))
    return ET.tostring(root, encoding="unicode")


def _plain(element: ET.Element) -> None:
    """Turn the style of *element* into attributes and the classes of colours."""
    declared = dict(_declarations(element.attrib.pop("style", "")))
    classes = []
    for key in ("fill", "stroke"):
        colour = declared.get(key) or element.attrib.get(key, "")
        if colour in _NAMES:
            declared.pop(key, None)
            element.attrib.pop(key, None)
            classes.append(f"{key[0]}-{_NAMES[colour]}")
    font = _FONT.search(declared.pop("font", ""))
    if font:
        declared["font-size"] = font[1]
    element.attrib |= declared
    if classes:
        element.attrib["class"] = " ".join(classes)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for one in filter(str.strip, style.split(";")):
        key, _, value = one.partition(":")
        yield key.strip(), value.strip()


def _name(root: ET.Element, name: str) -> None:
    """Keep only the ids that something refers to, under names of their own."""
    text = ET.tostring(root, encoding="unicode")
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in wanted:
            element.attrib["id"] = f"{name}-{own}"
        if _HREF in element.attrib:
            element.attrib["href"] = f"#{name}-{element.attrib.pop(_HREF)[1:]}"
        for key, value in element.attrib.items():
            if value.startswith("url(#"):
                element.attrib[key] = f"url(#{name}-{value[5:]}"
