"""From verdicts, sheets and money to advice: which rung, at what price, and the way back."""
