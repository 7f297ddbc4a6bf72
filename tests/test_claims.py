"""docs/claims.md: rows that recorded results decide are current, commands are there, cells are short, the README agrees."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aitimestepper.cli.arguments import parse

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/claims.md", "README.md"))
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
CLAIMS = [row for row in ROWS if row[0] not in ("what", "---")]
PROGRAMS = "aitimestepper |make |python |pytest "
COMMANDS = sorted(set(re.findall(rf"`((?:[A-Z_]+=\S+ )*(?:{PROGRAMS})[^`]+)`", PAGE)))
# the list of the README: each item has figures and, at its end, the command
MEASURED = re.findall(r"^- (.*?)`([^`]+)`$", README.partition("## Measured")[2].partition("\n## ")[0], flags=re.M | re.S)


def numbers(text: str) -> set[str]:
    """Return the numbers in a text, such as 97, 0.35 and 1e-5, but not those in a name such as kahan_li6."""
    return set(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e-?\d+)?", text))


def test_the_rows_that_recorded_results_decide_are_current():
    made = subprocess.run([sys.executable, ROOT / "docs/claims_tables.py"], capture_output=True, text=True, check=True).stdout
    assert made.strip() in PAGE, "run: python docs/claims_tables.py --write"


def test_every_row_is_a_claim_with_its_command_in_short_cells():
    assert len(CLAIMS) > 50
    for row in CLAIMS:
        assert len(row) == 3, row
        assert all(0 < len(cell) <= 90 for cell in row), row
        assert row[2].strip("`") in COMMANDS, row


def check_script(name: str, flags: list[str]) -> None:
    """Check that a script is there and knows the flags; those of docs/ read theirs in docs/pages.py."""
    source = "".join((ROOT / path).read_text(encoding="utf-8") for path in (name, "docs/pages.py"))
    for flag in flags:
        assert not flag.startswith("--") or f'"{flag}"' in source, (name, flag)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(command):
    program, first, *more = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    if program == "make":
        assert re.search(rf"^{first}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    elif program == "aitimestepper":
        assert parse([first, *more]).command == first
    elif program == "pytest":
        assert (ROOT / first).is_file()
        assert not more
    else:
        check_script(first, more)


def test_the_figures_of_the_readme_are_claims_of_the_same_command():
    assert len(MEASURED) == 5
    for words, command in MEASURED:
        rows = [row for row in CLAIMS if row[2] == f"`{command}`"]
        assert rows, command
        assert numbers(words) <= numbers(" ".join(cell for row in rows for cell in row[:2])), words


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
