"""Documents and their forms: Markdown, HTML, terminal."""
