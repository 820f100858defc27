"""Statistics on plain numbers: tests, intervals, power. Imports nothing else of the package."""

#: Below this many cases the exact test replaces the score test, which passes slightly too often.
#: It is here, apart from the tests, because they import SciPy.
EXACT_BELOW = 100
