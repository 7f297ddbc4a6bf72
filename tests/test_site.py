"""The site is built strictly, its links and anchors lead somewhere, it loads nothing from elsewhere, and it has every name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docstring_examples import public_names_of_the_reference

ROOT = Path(__file__).resolve().parents[1]
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """The links of a page, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value or "")
            elif (tag, name) in LOADING:
                self.loaded.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    """Every page of the site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html")) if path.name != "404.html"}


def place_of(link: str, page: Path) -> tuple[Path, str]:
    """Return the file that a link of a page leads to, and the anchor in it."""
    parts = urlsplit(link)
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page, unquote(parts.fragment)


def test_every_link_and_every_anchor_leads_somewhere(site):
    pages = {path.resolve(): page for path, page in site.items()}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            target, anchor = place_of(link, path)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors | {"__top"}):
                wrong.append(f"{path.name}: {link}")
    assert not wrong


def test_nothing_is_loaded_from_elsewhere(site):
    for path, page in site.items():
        for link in page.loaded:
            assert not re.match(r"(\w+:)?//", link), (path.name, link)
            assert place_of(link, path)[0].is_file(), (path.name, link)
    for style in next(iter(site)).parent.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8")), style.name


def test_the_reference_has_every_public_name(site):
    names = public_names_of_the_reference().public_names()
    anchors = set().union(*(page.anchors for page in site.values()))
    assert set(names.values()) <= anchors


def test_the_sections_are_those_that_readers_look_for(site):
    (index,) = [path for path in site if path.name == "index.html" and path.parent.name != "reference"]
    text = index.read_text(encoding="utf-8")
    for section in ("Start", "Guides", "Reference", "Method", "Measured", "When not to use this", "Develop"):
        assert re.search(rf">\s*{section}\s*<", text), section
