"""Replies on disk: the one file in which everything that was paid for is kept."""
