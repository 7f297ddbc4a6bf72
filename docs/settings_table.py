"""The list of all settings in docs/settings.md, made from Config. A default that depends on the judge is shown as `step / run`.

python docs/settings_table.py          print it
python docs/settings_table.py --write  put it into docs/settings.md
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from pages import print_or_write

from aitimestepper.cli.arguments import default_text
from aitimestepper.config import Config, field_sections

BEGIN, END = "<!-- settings: made by docs/settings_table.py -->", "<!-- end of settings -->"
PAGE = Path(__file__).resolve().parent / "settings.md"
SIGNS = {"above": ">", "least": "≥", "below": "<", "most": "≤"}
WIDTH = 128  # characters of a line; cells of a table cannot be wrapped, so this is a list


def default_of(f: dataclasses.Field[Any]) -> str:
    """Return the default of a setting as Markdown; `step / run` where it depends on the judge."""
    text = default_text(f)
    return text if text == "none" else f"`{text}`"


def allowed(limits: Mapping[str, Any]) -> str:
    """Return what values a setting may have, behind a comma or a semicolon; empty if all of its type are allowed."""
    choices = ", ".join(f"`{choice}`" for choice in limits.get("choices", ()))
    ranges = "".join(f", {sign} {limits[key]}" for key, sign in SIGNS.items() if key in limits)
    return f"; one of {choices}" if choices else ranges


def entry(f: dataclasses.Field[Any]) -> str:
    """Return name, default, range and meaning of a setting as an item of a list."""
    words = f"- **`{f.name}`** (default {default_of(f)}{allowed(f.metadata)}): {f.metadata['help']}"
    return textwrap.fill(words, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def settings() -> str:
    """Return one list for each section."""
    sections = groupby(dataclasses.fields(Config), lambda f: field_sections()[f.name])
    return "\n\n".join(f"## {section.capitalize()}\n\n" + "\n".join(map(entry, fields)) for section, fields in sections)


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, settings)
