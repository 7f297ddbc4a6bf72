"""Families of problems by name: those of the package, and functions in a user's file."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..initial.families import Family
from ..initial.suites import families_from_file


def families_named(names: list[str]) -> tuple[list[str], dict[str, Family]]:
    """Return the names of the families (`FILE.py` means all families in it), and the functions of those from files."""
    found, own = [], {}
    for name in names:
        file, _, wanted = name.partition(":")
        if not file.endswith(".py"):
            found.append(name)
            continue
        there = families_from_file(file)
        if wanted and f"{Path(file).name}:{wanted}" not in there:
            raise ConfigError(f"{file} has no family {wanted!r}; it has {', '.join(there)}.")
        chosen = [f"{Path(file).name}:{wanted}"] if wanted else list(there)
        found += chosen
        own.update({k: there[k] for k in chosen})
    return found, own
