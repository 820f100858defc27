"""Reports: terminal, Markdown, HTML, GitHub annotations."""
