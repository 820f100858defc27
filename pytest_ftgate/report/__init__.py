"""How verdicts are shown: rendering decides nothing."""
