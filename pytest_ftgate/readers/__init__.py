"""Files with the line of every value: YAML, JSON Lines, JSON and CSV."""
