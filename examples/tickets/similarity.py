"""Print how alike the example's texts are: no near-duplicates inside or across its files.

    python examples/tickets/similarity.py

Similarity is the cosine of TF-IDF vectors of character 3- to 5-grams within words; Jaccard is the
share of words that two texts have in common. 1 is the same text.
"""

import json
from collections import Counter
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

HERE = Path(__file__).parent
SKILLS = HERE.parents[1] / "pytest_ftgate" / "skills" / "data"


def texts(path: Path) -> list[str]:
    """Read the inputs of a file of cases; of a conversation, its last turn."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [r.get("input") or r["messages"][-1]["content"] for r in rows if "about" not in r]


def nearest(vectors: np.ndarray, own: slice, other: slice) -> float:
    """Return the highest similarity between a text of one part and another text of the other."""
    found = (vectors[own] @ vectors[other].T).toarray()
    if own == other:
        np.fill_diagonal(found, 0)
    return float(found.max())


def jaccard(words: np.ndarray, own: slice, other: slice) -> float:
    """Return the highest share of common words."""
    common = (words[own] @ words[other].T).toarray()
    sizes = np.asarray(words.sum(axis=1)).ravel()
    either = sizes[own][:, None] + sizes[other][None, :] - common
    found = common / np.maximum(either, 1)
    if own == other:
        np.fill_diagonal(found, 0)
    return float(found.max())


def main() -> None:
    """Print a row for each pair of files."""
    parts = {
        "train": texts(HERE / "tickets.train.jsonl"),
        "cases": texts(HERE / "tickets.cases.jsonl"),
        "general": texts(HERE / "general.jsonl"),
        "skills": [text for path in sorted(SKILLS.glob("*.jsonl")) for text in texts(path)],
    }
    every = [text for part in parts.values() for text in part]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(every)
    words = CountVectorizer(binary=True, dtype=np.int32).fit_transform(every)
    slices, start = {}, 0
    for name, part in parts.items():
        slices[name] = slice(start, start := start + len(part))
    print(f"{'files':<20}{'rows':<14}{'similarity':>10}{'Jaccard':>10}")
    for a, b in combinations_with_replacement(parts, 2):
        size = f"{len(parts[a])} x {len(parts[b])}"
        alike = nearest(vectors, slices[a], slices[b])
        common = jaccard(words, slices[a], slices[b])
        print(f"{a + ' - ' + b:<20}{size:<14}{alike:>10.2f}{common:>10.2f}")
    rows = [json.loads(line) for line in (HERE / "tickets.train.jsonl").open(encoding="utf-8")]
    counts = Counter(row["expected"] for row in rows)
    print(f"{len(counts)} categories, {min(counts.values())} to {max(counts.values())} rows each")


if __name__ == "__main__":
    main()
