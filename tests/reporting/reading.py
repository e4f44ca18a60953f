"""A page as its reader finds it: ids, headings, tables, pictures, text."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "path", "circle", "rect", "line"}
IMPLIED = {"th", "td", "tr", "li", "dt", "dd", "thead", "tbody"}  # their ends may be left out


class Page(HTMLParser):
    """Elements in order, with attributes; text; what is not closed is an error."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.feed(content)
        self.close()
        self.left = [tag for tag in self.open if tag not in IMPLIED]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4", "h5"):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in IMPLIED:
            self.open.pop()
        if tag not in VOID:
            assert self.open, tag
            assert self.open[-1] == tag, (tag, self.open[-3:])
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if any(tag in ("h1", "h2", "h3", "h4", "h5") for tag in self.open):
            level, before = self.headings[-1]
            self.headings[-1] = (level, before + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [str(each["id"]) for _, each in self.elements if "id" in each]

    def sections(self) -> list[str]:
        return [str(each["id"]) for each in self.of("section")]
