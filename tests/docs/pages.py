"""The pages that people read, and what a test wants to know of them."""

import re
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Page:
    """One page of Markdown."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(TOP))

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    def links(self) -> list[str]:
        """Return the targets of all links."""
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """Return what a link can end with, as GitHub makes it of the headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def blocks(self, language: str = "") -> list[str]:
        """Return the contents of the blocks of code that are marked so."""
        return [body for marked, body in _FENCE.findall(self.text) if marked == language]

    def words(self) -> set[str]:
        """Return everything that stands in `backticks`, in prose."""
        return set(_CODE.findall(self.prose))

    def rows(self, first: str) -> list[list[str]]:
        """Return the cells of the table rows whose first cell matches the expression."""
        cells = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in self.text.splitlines() if line[:1] == "|"
        )
        return [row for row in cells if re.fullmatch(first, row[0])]


def page(name: str) -> Page:
    """Return a page by its path from the top."""
    return Page(TOP / name)


PAGES = [
    Page(path)
    for path in (*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").glob("*.md")), TOP / "local" / "README.md")
]
