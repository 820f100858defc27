"""Scoring: turns replies into scores."""
