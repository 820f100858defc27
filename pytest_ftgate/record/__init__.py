"""What stays of a run: what a team accepted, its verdicts, and all that a report shows."""
