"""Scores become verdicts."""
