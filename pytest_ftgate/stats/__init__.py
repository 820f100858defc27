"""Statistics on plain numbers: tests, intervals, power. Imports nothing else of the package."""
