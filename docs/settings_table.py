"""The README's table of settings, made from Config. A default that depends on the judge is shown as `step / run`.

python docs/settings_table.py          print it
python docs/settings_table.py --write  put it into README.md
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pages import print_or_write

from aitimestepper.cli.arguments import default_text
from aitimestepper.config import Config, field_sections

BEGIN, END = "<!-- settings: made by docs/settings_table.py -->", "<!-- end of settings -->"
README = Path(__file__).resolve().parents[1] / "README.md"


def allowed(limits: object) -> str:
    """Return the range of a setting in words."""
    words = {"above": "> ", "least": "≥ ", "below": "< ", "most": "≤ "}
    parts = [f"{sign}{limits[key]}" for key, sign in words.items() if key in limits]  # type: ignore[operator,index]
    return ", ".join(parts)


def table() -> str:
    """Return one Markdown table for each section."""
    lines, section = [], ""
    for f in dataclasses.fields(Config):
        if field_sections()[f.name] != section:
            section = field_sections()[f.name]
            lines += ["", f"**{section}**", "", "| setting | default | meaning |", "|---|---|---|"]
        default = default_text(f)
        choices, limits = f.metadata.get("choices"), allowed(f.metadata)
        extra = f" ({', '.join(choices)})" if choices else f" ({limits})" if limits else ""
        lines.append(f"| `{f.name}` | {default if default == 'none' else f'`{default}`'} | {f.metadata['help']}{extra} |")
    return "\n".join(lines).strip()


if __name__ == "__main__":
    print_or_write(README, BEGIN, END, table)
