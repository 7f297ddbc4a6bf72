"""The public names of the package, where each is, and the page of the reference that has it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "aitimestepper"
# the page of the reference for what is in these parts; all else is on the first of them
PAGES = {
    "simulating": ("simulate", "bodies", "config", "errors", "citations"),
    "criteria": ("criteria",),
    "forces": ("fields",),
    "training": ("differentiable", "training"),
    "looking": ("report",),
    "rebound": ("rebound",),
    "ensembles": ("ensembles",),
    "outcomes": ("outcomes",),
    "gym": ("gym",),
}
TITLES = {
    "simulating": "Simulating",
    "criteria": "Criteria: what chooses a step",
    "forces": "Outer fields and forces of your own",
    "training": "Training",
    "looking": "Looking at runs",
    "rebound": "Inside REBOUND",
    "ensembles": "Ensembles",
    "outcomes": "Outcomes",
    "gym": "Environments of Gymnasium",
    "initial": "Initial conditions and families",
    "events": "Events",
}
# modules that users import from, beside the public names
MODULES = {"initial": ("initial.named", "initial.families"), "events": ("events",)}


def public_names() -> dict[str, str]:
    """Return the module or object that each public name of `aitimestepper/__init__.py` stands for, by name.

    They are read from the source, so that nothing is imported: the names imported as themselves, and the two tables of what is
    loaded on first use.
    """
    tree = ast.parse((ROOT / "src" / PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found.update({a.name: f"{PACKAGE}.{node.module}.{a.name}" for a in node.names if a.asname == a.name})
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            places = ast.literal_eval(node.value)
            if node.targets[0].id == "_ON_FIRST_USE":  # type: ignore[attr-defined]
                found.update({name: f"{PACKAGE}.{place.replace(':', '.').rstrip('.')}" for name, place in places.items()})
    return {name: path for name, path in sorted(found.items()) if not name.startswith("_")}


def page_of(path: str) -> str:
    """Return the page of the reference that has the object at a dotted path."""
    part = path.split(".")[1]
    return next((page for page, parts in PAGES.items() if part in parts), "simulating")


def reference_pages() -> dict[str, str]:
    """Return the pages of the reference as Markdown for mkdocstrings, by their names."""
    on: dict[str, list[str]] = {}
    for name, path in public_names().items():
        on.setdefault(page_of(path), []).append(f"::: {path}\n" + _options(name, path))
    for page, modules in MODULES.items():
        on.setdefault(page, []).extend(f"::: {PACKAGE}.{module}\n" + _options(module, module) for module in modules)
    pages = {f"reference/{page}.md": f"# {TITLES[page]}\n\n" + "\n".join(parts) for page, parts in on.items()}
    return {"reference/index.md": _overview(), **pages}


def _options(name: str, path: str) -> str:
    """Return the options of mkdocstrings for one object: of a class its methods, of a module its public functions."""
    is_module = name in ("plots", "rebound") or path in sum(MODULES.values(), ())
    filters = '["!^_", "!^[A-Z_]+$"]' if is_module else '["!^_"]'
    return f"    options:\n      filters: {filters}\n"


def _overview() -> str:
    """Return the list of all public names with links."""
    rows = "\n".join(
        f"| [`{name}`]({page_of(path)}.md#{path}) | {TITLES[page_of(path)]} |" for name, path in public_names().items()
    )
    return (
        "# Every public name\n\n"
        "These can be imported from `aitimestepper`. Names of the training load PyTorch when they are first used "
        "(extra `train`), plots matplotlib (extra `report`). The examples are run by `make test`. "
        "Arrays are NumPy's, in float64: B is the number of systems, N of bodies, D of axes (2 or 3), T of times. "
        "Quantities are in the units of the bodies, in which the gravitational constant is `G` ([units](../units.md)).\n\n"
        f"| name | on the page |\n|---|---|\n{rows}\n"
    )
