"""Marked test functions: a function that marks replies is a gate for each variant."""
