"""cite(): the papers that a run, a criterion or an integrator is based on, as BibTeX."""

from __future__ import annotations

import re
from typing import Any

from .bibliography import PAPERS
from .errors import ConfigError, nearest_name_hint, shown

ITSELF = ("aitimestepper",)
INTEGRATORS: dict[str, tuple[str, ...]] = {
    "leapfrog": ("verlet1967",),
    "suzuki4": ("suzuki1990",),
    "kahan_li6": ("kahanli1997",),
    "kahan_li8": ("kahanli1997",),
    "blanes_moan4": ("blanesmoan2002",),
    "blanes_moan6": ("blanesmoan2002",),
    "chin4": ("chin1997",),
    "hermite4": ("makinoaarseth1992",),
    "logh": ("mikkolatanikawa1999", "pretotremaine1999"),
    "radau15": ("everhart1985", "reinspiegel2015"),
}
# criteria and wrappers by their `name`; those without a paper are of this package, or older than papers
CRITERIA: dict[str, tuple[str, ...]] = {
    "constant": (),
    "constant by trial": (),
    "freefall": (),
    "hutmakino": ("hutmakino2003",),
    "aarseth": ("aarseth1985",),
    "tidal": ("grudichopkins2020",),
    "prs23": ("prs2024",),
    "boekholt": ("boekholt2022",),
    "energybudget": ITSELF,
    "lastterm": ("reinspiegel2015",),
    "learned": ITSELF,
    "own": (),
    "agent": (),
    "limited": (),
    "symmetrized": ("hutmakinomcmillan1995", "holder2001"),
    "huayno": ("pelupessy2012",),
    "hmm": ("hutmakinomcmillan1995",),
}
# outer fields and forces by their class; those that are left out need no paper
FIELDS: dict[str, tuple[str, ...]] = {
    "PlummerField": ("plummer1911",),
    "MiyamotoNagaiField": ("miyamotonagai1975",),
    "NFWField": ("nfw1997",),
    "PrecessionPotential": ("nobiliroxburgh1986",),
}
REBOUND = ("reinliu2012",)


def cite(used: Any = None) -> str:
    """Return the papers behind what was used as BibTeX, this package first.

    used: the result of a run, a `Simulation`, an `Ensemble` (whose table knows of no outer field), a criterion, the text of one
    or of an integrator such as "freefall:eta=0.02" or "radau15", or a simulation of REBOUND. Without it, all papers that the
    package is based on.

    Examples:
        >>> from aitimestepper import PRS23, cite
        >>> [line for line in cite(PRS23()).splitlines() if line.startswith("@")]
        ['@software{aitimestepper,', '@article{prs2024,']
    """
    keys = dict.fromkeys((*ITSELF, *(PAPERS if used is None else _papers_of(used))))
    return "\n\n".join(_entry(key) for key in keys) + "\n"


def _papers_of(used: Any) -> tuple[str, ...]:
    """Return the keys of the papers behind one thing."""
    if isinstance(used, str):
        return _of_text(used)
    if type(used).__module__.partition(".")[0] == "rebound":
        return REBOUND
    if hasattr(used, "criterion") and hasattr(used, "integrator") and hasattr(used, "final"):
        steps = (*_of_words(used.criterion), *INTEGRATORS[used.integrator.partition(":")[0]])
        return (*steps, *_of_field(used.final.external_field))
    if hasattr(used, "methods"):  # an Ensemble
        found = used.methods()
        return tuple(key for words, name in found for key in (*_of_words(words), *INTEGRATORS[name.partition(":")[0]]))
    if hasattr(used, "result"):  # a Simulation
        return _papers_of(used.result)
    if hasattr(used, "name") and hasattr(used, "velocity_even"):
        inner = getattr(used, "criterion", None)
        return (*CRITERIA.get(used.name, ()), *(() if inner is None else _papers_of(inner)))
    raise ConfigError(f"cite: {shown(used)} is neither a result, a simulation, an ensemble, a criterion nor the name of one.")


def _of_field(field: Any) -> tuple[str, ...]:
    """Return the keys of the papers behind an outer field, or the sum of several."""
    parts = getattr(field, "parts", (field,))
    return tuple(key for part in parts for key in FIELDS.get(type(part).__name__, ()))


def _of_text(text: str) -> tuple[str, ...]:
    """Return the keys of the papers behind a criterion or an integrator by its name."""
    known = {**CRITERIA, **INTEGRATORS, "rebound": REBOUND}
    name = text.partition(":")[0]
    if name not in known:
        raise ConfigError(f"cite: {shown(text)}: {nearest_name_hint(name, known)}")
    return known[name]


def _of_words(criterion: str) -> tuple[str, ...]:
    """Return the keys for a criterion as results write it, such as `symmetrized(freefall(0.02))`."""
    return tuple(key for name in re.findall(r"[a-z_]\w*", criterion) for key in CRITERIA.get(name, ()))


def _entry(key: str) -> str:
    """Return one BibTeX entry."""
    kind, fields = PAPERS[key]
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}}}"
