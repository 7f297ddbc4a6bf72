"""What a model says about itself: its network, what it was trained on and, from its card, its calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import shown
from ..features import feature_count
from ..files import conforms
from ..html import Table, card
from . import NETWORK, Model

UNKNOWN = "problems that its card does not name"
# entries of a card, which may be missing
CARD: dict[str, Any] = {"families": list[str], "problems": int, "seed": int, "hours": float}
MEASURED = ("compliance", "worst_compliance", "forces")  # by the validation of a training on runs, at each tolerance
MOST_FAMILIES = 8  # that a card names


def contents_of(model: Model) -> dict[str, Any]:
    """Return the contents of a model as plain values, or raise an error of any kind for a card that no training writes."""
    config = model.config
    inputs = feature_count(config.feature_type, config.history_len)
    numbers = sum(values.size for values in model.weights.values())
    past = f", {config.history_len} past states" if config.history_len else ""
    return {
        "network": f"{NETWORK}, layers {' '.join(map(str, config.layers))}, {numbers} numbers",
        "features": f"{config.feature_type}, {inputs} inputs" + past,
        "integrator": config.integrator,
        # the configuration of a model that was trained on runs says nothing about its problems
        **(
            _training_on_runs(model)
            if config.judge == "run" or model.calibration
            else {"energy_threshold": config.energy_threshold, "trained_on": config.ic}
        ),
    }


def _training_on_runs(model: Model) -> dict[str, Any]:
    """Return problems, effort and calibration from the card of a model that was trained on runs."""
    written = model.card
    plan = {**written, **written.get("plan", {})}  # cards with and without a plan of their own
    for name, kind in CARD.items():
        if not conforms(plan.get(name), kind | None):
            raise TypeError(f"its {name} is {shown(plan[name])}")
    content: dict[str, Any] = {"trained_on": ", ".join(plan.get("families") or ()) or UNKNOWN}
    content |= {name: plan[name] for name in ("problems", "seed", "hours") if plan.get(name) is not None}
    if not model.calibration:
        return {**content, "calibrated_for": []}
    content["calibrated_for"] = sorted((tol for tol, _ in model.calibration), reverse=True)
    return content | {"calibration": _calibration(model, written.get("validation") or ())}


def _calibration(model: Model, validation: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each tolerance, from loose to tight: what is asked for instead, and how that did in validation."""
    measured, sensitive = list(validation), dict(model.sensitive_calibration)
    apart = model.sensitive_calibration != model.calibration
    rows = []
    if not all(conforms(score.get(name), float | None) for score in measured for name in ("tol", *MEASURED)):
        raise TypeError("its validation holds no numbers")
    for tol, factor in sorted(model.calibration, reverse=True):
        found = next((score for score in measured if math.isclose(score.get("tol", math.nan), tol)), {})
        scores = {name: found[name] for name in MEASURED if found.get(name) is not None}
        own = {"sensitive_factor": sensitive[tol]} if apart and tol in sensitive else {}
        rows.append({"tol": tol, "factor": factor, **own, "calibrated_tolerance": tol * factor, **scores})
    return rows


def training_words(content: Mapping[str, Any]) -> str:
    """Return in words what a model was trained on."""
    if "energy_threshold" in content:
        return str(content["trained_on"])
    details = []
    if "problems" in content:
        details.append(f"{content['problems']} problems of each family")
    if "seed" in content:
        details.append(f"seed {content['seed']}")
    if "hours" in content:
        hours = content["hours"]
        details.append(f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes")
    return "; ".join([f"runs of {content['trained_on']}", *([", ".join(details)] if details else [])])


def html_of(model: Model, tol: Any = None) -> str:
    """Return the card of a model for notebooks, with its calibration; `tol` is the tolerance that is asked of it."""
    try:
        content = contents_of(model)
    except (TypeError, LookupError, AttributeError, ValueError):
        return card("Network", [("integrator", model.integrator)], note="Its card is none that a training writes.")
    families = str(content["trained_on"]).split(", ")
    if len(families) > MOST_FAMILIES:
        content["trained_on"] = f"{', '.join(families[:MOST_FAMILIES])} and {len(families) - MOST_FAMILIES} more families"
    rows = [(name, str(content[name])) for name in ("network", "features")]
    rows.append(("trained on", training_words(content)))
    if tol is not None:
        rows.append(("asked for", f"{tol:g}" if isinstance(tol, float) else ", ".join(f"{x:g}" for x in tol)))
    calibration = content.get("calibration") or []
    heads = ["tolerance", "asked of the network"]
    if any("sensitive_factor" in row for row in calibration):
        heads.append("in sensitive systems")
    known = any("compliance" in row for row in calibration)
    if known:
        heads += ["runs within it", "in the worst family"]
    return card(f"Network for {model.integrator}", rows, Table(heads, [_calibrated(row, known) for row in calibration]))


def _calibrated(row: Mapping[str, Any], known: bool) -> list[str]:
    shares = [percent(row.get(name)) for name in ("compliance", "worst_compliance")] if known else []
    own = [f"{row['tol'] * row['sensitive_factor']:.2g}"] if "sensitive_factor" in row else []
    return [f"{row['tol']:g}", f"{row['calibrated_tolerance']:.2g}", *own, *shares]


def percent(share: float | None) -> str:
    """Return a share as percent, or - if it is unknown."""
    return "-" if share is None else f"{share:.0%}"
