"""Read the advice of a run from its JUnit file."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.results.run import from_json


def advice_of(desk) -> Advice:
    properties = ET.parse(desk.path("junit.xml")).iter("property")
    (text,) = [one.get("value", "") for one in properties if one.get("name") == "ftgate_advice"]
    return from_json(Advice, text)
