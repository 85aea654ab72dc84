"""A page as its readers meet it: text, and elements by their role and name, however they are marked up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

_ROLES = {
    "a": "link",
    "button": "button",
    "h1": "heading",
    "h2": "heading",
    "li": "listitem",
    "main": "main",
    "nav": "navigation",
    "progress": "progressbar",
}
_WITHOUT_END = frozenset({"br", "img", "input", "link", "meta"})
_NOT_SHOWN = frozenset({"head", "script", "style", "template"})


class Element:
    """An element that is shown, with the elements and texts in it."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.parts: list[Element | str] = []

    @property
    def role(self) -> str:
        own = self.attributes["type"] if self.tag == "input" and "type" in self.attributes else ""
        return self.attributes.get("role") or own or _ROLES.get(self.tag, "")

    @property
    def name(self) -> str:
        """What a screen reader calls it."""
        label = self.parent
        while self.tag == "input" and label and label.tag != "label":
            label = label.parent
        return self.attributes.get("aria-label") or (label.text if self.tag == "input" and label else self.text)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", "".join(self._texts())).strip()

    def by_role(self, role: str) -> list[Element]:
        return [one for one in self._within() if one.role == role]

    def _shown(self) -> list[Element | str]:
        hidden = self.tag in _NOT_SHOWN or "hidden" in self.attributes or self.attributes.get("aria-hidden") == "true"
        return [] if hidden else self.parts

    def _texts(self) -> Iterator[str]:
        for part in self._shown():
            if isinstance(part, str):
                yield part
            else:
                yield from part._texts()

    def _within(self) -> Iterator[Element]:
        for part in self._shown():
            if isinstance(part, Element):
                yield part
                yield from part._within()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = self._open = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open)
        self._open.parts.append(element)
        if tag not in _WITHOUT_END:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _WITHOUT_END:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.parent is not None and self._open.tag == tag, f"<{self._open.tag}> is ended by </{tag}>"
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        self._open.parts.append(data)


def seen(markup: str) -> Element:
    """Return the whole page. Fails on elements that are not ended in their order."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    assert reader.page is reader._open, f"<{reader._open.tag}> is not ended"
    return reader.page
