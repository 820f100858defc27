"""A reply becomes a score."""
