"""Languages other than English: names in them, and word problems that are told in them."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from importlib.metadata import version
from random import Random

from babel import Locale
from items import FINAL, OWN, WORKING_TOKENS, Item, Task, named, shuffled
from knowledge import country_names

#: From languages with the most text to those with the least.
_LANGUAGES = (
    ("fr", "de", "es", "it", "pt", "nl"),
    ("ru", "pl", "sv", "tr", "cs", "ro", "id"),
    ("ja", "zh", "ko", "ar", "hi", "el", "fi", "hu", "vi", "he"),
    ("sw", "ka", "hy", "eu", "cy", "ga", "am", "kk", "mn", "lo", "km", "my", "si", "ne"),
    ("yo", "ig", "zu", "wo", "qu", "gd", "fo", "ti", "ug", "chr", "kl", "dz", "to", "se"),
)
#: A name that looks more like the English one than this is no question of its language.
_MOST_ALIKE = (0.85, 0.75, 0.7, 0.65, 0.65)


def _is_different(name: str, english: str, level: int) -> bool:
    ratio = SequenceMatcher(None, name.casefold(), english.casefold()).ratio()
    return ratio <= _MOST_ALIKE[level - 1]


def _country_items(random: Random, level: int) -> Iterator[Item]:
    pairs = []
    for language in _LANGUAGES[level - 1]:
        of = Locale(language).english_name
        names = Locale(language).territories
        for code in sorted(names):
            if len(code) == 2 and code.isalpha() and code in Locale("en").territories:
                answers = country_names(code)
                if _is_different(names[code], answers[-1], level):
                    pairs.append((language, of, names[code], answers))
    for language, of, name, answers in shuffled(random, pairs):
        question = f"Which country or territory is called “{name}” in {of}? Give its English name."
        yield named(question, answers) | {"language": language}


def _language_items(random: Random, level: int) -> Iterator[Item]:
    pairs = []
    english = Locale("en").languages
    for language in _LANGUAGES[level - 1]:
        of, names = Locale(language).english_name, Locale(language).languages
        # Languages with a code of two letters are the better known ones.
        for code in sorted(names):
            is_known = len(code) == 2 and code in english
            if is_known and _is_different(names[code], english[code], level):
                pairs.append((language, of, names[code], english[code]))
    for language, of, name, answer in shuffled(random, pairs):
        question = f"Which language is called “{name}” in {of}? Give its English name."
        yield named(question, [answer.partition(" (")[0]]) | {"language": language}


#: By language: start, more, fewer, times, question with the request for a last line.
_STORIES = {
    "de": (
        "In einem Lager liegen {} Kisten.",
        "Dann werden {} Kisten geliefert.",
        "Danach werden {} Kisten abgeholt.",
        "Nun wird der Bestand auf das {}-Fache vergrößert.",
        "Wie viele Kisten liegen am Ende im Lager? Beende die Antwort mit „Answer: “ und der Zahl.",
    ),
    "fr": (
        "Il y a {} caisses dans un entrepôt.",
        "Ensuite, {} caisses sont livrées.",
        "Puis {} caisses sont enlevées.",
        "Le stock est alors multiplié par {}.",
        "Combien de caisses y a-t-il à la fin ? Terminez par « Answer: » et le nombre.",
    ),
    "es": (
        "En un almacén hay {} cajas.",
        "Luego llegan {} cajas.",
        "Después se retiran {} cajas.",
        "Ahora las existencias se multiplican por {}.",
        "¿Cuántas cajas hay al final? Termina con «Answer: » y el número.",
    ),
    "it": (
        "In un magazzino ci sono {} casse.",
        "Poi vengono consegnate {} casse.",
        "Dopo vengono ritirate {} casse.",
        "Ora le scorte vengono moltiplicate per {}.",
        "Quante casse ci sono alla fine? Termina con «Answer: » e il numero.",
    ),
    "pt": (
        "Num armazém há {} caixas.",
        "Depois são entregues {} caixas.",
        "A seguir são retiradas {} caixas.",
        "Agora o estoque é multiplicado por {}.",
        "Quantas caixas há no fim? Termine com “Answer: ” e o número.",
    ),
    "nl": (
        "In een magazijn staan {} kisten.",
        "Daarna worden er {} kisten geleverd.",
        "Vervolgens worden er {} kisten opgehaald.",
        "Nu wordt de voorraad met {} vermenigvuldigd.",
        "Hoeveel kisten staan er aan het eind? Eindig met ‘Answer: ’ en het getal.",
    ),
    "ru": (
        "Число ящиков на складе: {}.",
        "Затем привезли ящики, их число: {}.",
        "После этого увезли ящики, их число: {}.",
        "Теперь число ящиков умножили на {}.",
        "Сколько ящиков стало в конце? Закончите ответ строкой «Answer: » с числом.",
    ),
    "pl": (
        "Liczba skrzyń w magazynie: {}.",
        "Potem dostarczono skrzynie, ich liczba: {}.",
        "Następnie zabrano skrzynie, ich liczba: {}.",
        "Teraz liczbę skrzyń pomnożono przez {}.",
        "Ile skrzyń jest na końcu? Zakończ odpowiedź wierszem „Answer: ” z liczbą.",
    ),
    "ja": (
        "倉庫に箱が{}個あります。",
        "その後、箱が{}個届きました。",
        "次に、箱が{}個運び出されました。",
        "ここで、箱の数が{}倍になりました。",
        "最後に箱は何個ありますか。最後の行に「Answer: 」と数字を書いてください。",
    ),
    "zh": (
        "仓库里有{}个箱子。",
        "然后又运来了{}个箱子。",
        "接着运走了{}个箱子。",
        "现在箱子的数量变为原来的{}倍。",
        "最后有多少个箱子?请在最后一行写上“Answer: ”和数字。",
    ),
}


def _story_items(random: Random, level: int) -> Iterator[Item]:
    steps, most = ((2, 20), (4, 90), (7, 900), (14, 20_000), (30, 900_000))[level - 1]
    while True:
        language = random.choice([*_STORIES])
        start, more, fewer, times, question = _STORIES[language]
        total = random.randrange(5, most)
        told = [start.format(total)]
        for _ in range(steps):
            kind = random.random()
            if kind < 0.15 and total < most * 20:
                factor = random.randrange(2, 5)
                total, line = total * factor, times.format(factor)
            elif kind < 0.6 or total < 6:
                number = random.randrange(2, most)
                total, line = total + number, more.format(number)
            else:
                number = random.randrange(2, min(total, most))
                total, line = total - number, fewer.format(number)
            told.append(line)
        yield {
            "input": " ".join([*told, question]),
            "expected": str(total),
            "score": FINAL,
            "max_tokens": WORKING_TOKENS[level - 1],
            "language": language,
        }


_CLDR = f"Unicode CLDR, as in babel {version('babel')} (BSD-3-Clause); the data: Unicode-3.0"
TASKS = (
    Task("country_names", _CLDR, _country_items),
    Task("language_names", _CLDR, _language_items),
    Task("stories", OWN, _story_items),
)
