"""What the author declared: one suite file, its cases and its prompts."""
