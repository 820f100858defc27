"""The advice of a run, as it travels to the reports."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.results.run import advice_from_json


def advice_of(desk) -> Advice:
    found = ET.parse(desk.path("junit.xml")).iter("property")
    (told,) = [one.get("value", "") for one in found if one.get("name") == "ftgate_advice"]
    return advice_from_json(told)
