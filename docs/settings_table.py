"""The README's table of settings, made from Config.

python docs/settings_table.py          print it
python docs/settings_table.py --write  put it into README.md
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from aitimestepper.config import Config, field_sections

BEGIN, END = "<!-- settings: made by docs/settings_table.py -->", "<!-- end of settings -->"
README = Path(__file__).resolve().parents[1] / "README.md"


def allowed(limits: object) -> str:
    """The range of a setting in words."""
    words = {"above": "> ", "least": "≥ ", "below": "< ", "most": "≤ "}
    parts = [f"{sign}{limits[key]}" for key, sign in words.items() if key in limits]  # type: ignore[operator,index]
    return ", ".join(parts)


def table() -> str:
    """One Markdown table a section."""
    lines, section = [], ""
    for f in dataclasses.fields(Config):
        if field_sections()[f.name] != section:
            section = field_sections()[f.name]
            lines += ["", f"**{section}**", "", "| setting | default | meaning |", "|---|---|---|"]
        default = "" if f.default is None else " ".join(map(str, f.default)) if isinstance(f.default, tuple) else str(f.default)
        choices, limits = f.metadata.get("choices"), allowed(f.metadata)
        extra = f" ({', '.join(choices)})" if choices else f" ({limits})" if limits else ""
        lines.append(f"| `{f.name}` | {f'`{default}`' if default else 'none'} | {f.metadata['help']}{extra} |")
    return "\n".join(lines).strip()


def main() -> None:
    """Print, or write into the README."""
    if "--write" not in sys.argv:
        print(table())
        return
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
