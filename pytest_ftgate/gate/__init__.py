"""From a sheet to verdicts: paired statistics, four outcomes."""
