"""What the site has beside docs/*.md: the README as its first page, the reference, and the files that pages link to.

mkdocs calls these functions (mkdocs.yml). A link of a page to a file outside docs/ leads to a page with its source.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files
from public_names import ROOT, reference_pages

AT_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
NOT_SEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"
LANGUAGES = {".py": "python", ".toml": "toml", ".md": "markdown", ".yaml": "yaml"}
CODE = re.compile(r"(^```.*?^```\s*?$|`[^`\n]+`)", flags=re.S | re.M)  # blocks, and code within a line
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def page_for(path: str) -> str | None:
    """Return the place in the site of a file of the repository, given by its path there; None if it is not a file."""
    if path in AT_ROOT:
        return AT_ROOT[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"sources/{path}.md" if (ROOT / path).is_file() else None


def linked(text: str) -> list[str]:
    """Return the targets of all links in a page that are no addresses."""
    prose = CODE.sub("", text)
    return [target for target, _ in LINK.findall(prose) if not re.match(r"\w+:", target)]


def relinked(text: str, path: str, place: str) -> str:
    """Return a page of the repository with its links as they are in the site, where it is at `place`."""

    def link(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        there = (
            None if re.match(r"\w+:", target) else page_for(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        )
        return found[0] if there is None else f"]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{anchor})"

    return "".join(part if k % 2 else LINK.sub(link, part) for k, part in enumerate(CODE.split(text)))


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made, and put pages that the navigation does not name at its end."""
    made = reference_pages()
    for path, place in AT_ROOT.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        made[place] = relinked(text, path, place)
    pages = {f"docs/{f.src_uri}": f.content_string for f in files.documentation_pages()}
    pages |= {path: (ROOT / path).read_text(encoding="utf-8") for path in AT_ROOT}
    for path, text in pages.items():
        for target in linked(text):
            source = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            place = page_for(source)
            if place is not None and place.startswith("sources/"):
                made[place] = source_page(source)
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    named = re.findall(r"'([^']+\.md)'", repr(config.nav))
    more = [f.src_uri for f in files.documentation_pages() if f.src_uri not in named and not f.src_uri.startswith("sources/")]
    if more:
        config.nav.append({"More": more})
    return files


def source_page(path: str) -> str:
    """Return a page that shows a file of the repository."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    if language == "markdown":
        return NOT_SEARCHED + relinked(text, path, f"sources/{path}.md")
    return f"{NOT_SEARCHED}# {path}\n\n````{language}\n{text.rstrip()}\n````\n"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside docs/ to their pages."""
    if page.file.generated_by is not None:
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
