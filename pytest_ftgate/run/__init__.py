"""One run: lines the stages up, from the gates that were selected to their verdicts."""
