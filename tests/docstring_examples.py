"""Run the examples (`>>> `) in the docstring of a public name."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import aitimestepper


def public_names_of_the_reference() -> ModuleType:
    """Return docs/public_names.py, which lists what the reference of the site has."""
    path = Path(__file__).resolve().parents[1] / "docs/public_names.py"
    spec = importlib.util.spec_from_file_location("public_names", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_examples(name: str) -> int:
    """Run the examples of a public name, and return how many lines they have; a line that gives something else is an error."""
    thing = getattr(aitimestepper, name)
    found = doctest.DocTestParser().get_doctest(thing.__doc__ or "", {}, name, None, 0)
    report: list[str] = []
    done = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found, out=report.append)
    assert not done.failed, "".join(report)
    return done.attempted
