"""What `report` prints: the same report in Markdown, as one page of HTML, and as JSON. Knows `core` and the command line's words."""
