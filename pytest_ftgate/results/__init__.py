"""The run record, and what a team has accepted."""
