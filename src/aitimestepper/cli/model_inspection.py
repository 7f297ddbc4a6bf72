"""What `aitimestepper inspect` says about a model: its network, what it was trained on and, from its card, its calibration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UserError, shown
from ..features import feature_count
from ..files import conforms, path_shown, read_json_lines
from ..models import NETWORK, Model, load_model

METRICS = ("part1/acceptance_rate", "part1/mean_dt", "part1/mean_energy_error", "part2/final_pass_rate")
UNKNOWN = "problems that its card does not name"
WITHIN = "within it: share of the validation problems that stay within the tolerance"
# entries of a card, which may be missing
CARD: dict[str, Any] = {"families": list[str], "problems": int, "seed": int, "hours": float}
MEASURED = ("compliance", "worst_compliance", "forces")  # by the validation of a training on runs, at each tolerance


def describe_model(path: Path) -> dict[str, Any]:
    """Return the contents of a model as plain values; its card is refused unless it is one that a training writes."""
    try:
        return _described(load_model(path), path)
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise CheckpointError(f"{path_shown(path)} is refused: its card is none ({type(error).__name__}: {error}).") from None


def _described(model: Model, path: Path) -> dict[str, Any]:
    config = model.config
    inputs = feature_count(config.feature_type, config.history_len)
    numbers = sum(values.size for values in model.weights.values())
    past = f", {config.history_len} past states" if config.history_len else ""
    content: dict[str, Any] = {
        "kind": "model",
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
    metrics = last_epoch(path)
    if metrics:
        content |= {"epochs": metrics["epoch"], "last_epoch": {name: metrics[name] for name in METRICS if name in metrics}}
    return {**content, "next": f"aitimestepper simulate --model {path}"}


def _training_on_runs(model: Model) -> dict[str, Any]:
    """Return problems, effort and calibration from the card of a model that was trained on runs."""
    card = model.card
    plan = {**card, **card.get("plan", {})}  # cards with and without a plan of their own
    for name, kind in CARD.items():
        if not conforms(plan.get(name), kind | None):
            raise TypeError(f"its {name} is {shown(plan[name])}")
    content: dict[str, Any] = {"trained_on": ", ".join(plan.get("families") or ()) or UNKNOWN}
    content |= {name: plan[name] for name in ("problems", "seed", "hours") if plan.get(name) is not None}
    if not model.calibration:
        return {**content, "calibrated_for": []}
    content["calibrated_for"] = sorted((tol for tol, _ in model.calibration), reverse=True)
    return content | {"calibration": _calibration(model, card.get("validation") or ())}


def _calibration(model: Model, validation: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each tolerance, from loose to tight: what is asked for instead, and how that did in validation."""
    measured = list(validation)
    rows = []
    if not all(conforms(score.get(name), float | None) for score in measured for name in ("tol", *MEASURED)):
        raise TypeError("its validation holds no numbers")
    for tol, factor in sorted(model.calibration, reverse=True):
        found = next((score for score in measured if math.isclose(score.get("tol", math.nan), tol)), {})
        scores = {name: found[name] for name in MEASURED if found.get(name) is not None}
        rows.append({"tol": tol, "factor": factor, "calibrated_tolerance": tol * factor, **scores})
    return rows


def last_epoch(path: Path) -> dict[str, Any]:
    """Return the metrics of the epoch after which a model was saved, from metrics.jsonl beside it; {} if there are none."""
    name = re.fullmatch(r"model_epoch_(\d+)", path.stem)
    try:
        records = read_json_lines(path.parent / "metrics.jsonl", "metrics")
        return next((r for r in records if name and r.get("epoch") == int(name[1])), {})
    except UserError:  # there are none
        return {}


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


def calibration_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a small table, whose columns of validation are left out if nothing was validated."""
    table = list(rows)
    known = any("compliance" in row for row in table)
    lines = [
        f"{'tolerance':>9}  {'factor':>6}  {'calibrated':>10}" + (f"  {'within it':>9}  {'worst family':>12}" if known else "")
    ]
    for row in table:
        line = f"{row['tol']:>9g}  {row['factor']:>6.3g}  {row['calibrated_tolerance']:>10.3g}"
        if known:
            within, worst = (_percent(row.get(name)) for name in ("compliance", "worst_compliance"))
            line += f"  {within:>9}  {worst:>12}"
        lines.append(line)
    return [*lines, WITHIN] if known else lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
