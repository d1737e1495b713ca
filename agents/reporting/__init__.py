"""Reports of comparisons: one HTML file for a reader, one Markdown table for the README.

`html.render_comparison` and `markdown.comparison_markdown` take a table of
`agents.comparing.records`; the numbers come from `agents.evaluation`, nothing is computed here.
"""
