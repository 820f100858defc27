"""Pure numbers: tests, bounds and sizes that know nothing of suites."""
