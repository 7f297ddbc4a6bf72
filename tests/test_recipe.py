"""The conda recipe: name, version, Python, dependencies and command are those of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import aitimestepper

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE = (ROOT / "conda/recipe/meta.yaml").read_text()


def section(name: str) -> list[str]:
    """The items of a list in the recipe."""
    found = re.search(rf"^ *{name}:\n((?: +- .*\n)+)", RECIPE, flags=re.M)
    assert found, name
    return [re.sub(r" (?=[<>]=)", "", line.strip()[2:]) for line in found[1].splitlines()]


def test_it_is_this_version_of_this_package():
    assert f'{{% set version = "{aitimestepper.__version__}" %}}' in RECIPE
    assert f"name: {PROJECT['project']['name']}\n" in RECIPE
    assert f"summary: {PROJECT['project']['description']}\n" in RECIPE
    assert f"license: {PROJECT['project']['license']}\n" in RECIPE
    assert (ROOT / "conda/recipe" / re.search(r"path: (\S+)", RECIPE)[1]).resolve() == ROOT


def test_it_needs_what_the_package_needs():
    python = f"python{PROJECT['project']['requires-python']}"
    assert section("run") == [python, *PROJECT["project"]["dependencies"]]
    assert section("host") == [python, "pip", *PROJECT["build-system"]["requires"]]


def test_its_command_is_that_of_the_package():
    assert section("entry_points") == [f"{name} = {place}" for name, place in PROJECT["project"]["scripts"].items()]
