"""What `aitimestepper inspect` says about a model: its network, what it was trained on and, from its card, its calibration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UserError
from ..files import path_shown, read_json_lines
from ..models import load_model
from ..models.described import contents_of, percent

METRICS = ("part1/acceptance_rate", "part1/mean_dt", "part1/mean_energy_error", "part2/final_pass_rate")
WITHIN = "within, worst: share of the validation problems within the tolerance, and of the worst family"
SENSITIVE = "sensitive: the factor in planetary systems, in encounters of three and more bodies, and in external fields"


def describe_model(path: Path) -> dict[str, Any]:
    """Return the contents of a model as plain values; its card is refused unless it is one that a training writes."""
    try:
        content = {"kind": "model", **contents_of(load_model(path))}
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise CheckpointError(f"{path_shown(path)} is refused: its card is none ({type(error).__name__}: {error}).") from None
    metrics = last_epoch(path)
    if metrics:
        content |= {"epochs": metrics["epoch"], "last_epoch": {name: metrics[name] for name in METRICS if name in metrics}}
    return {**content, "next": f"aitimestepper simulate --model {path}"}


def last_epoch(path: Path) -> dict[str, Any]:
    """Return the metrics of the epoch after which a model was saved, from metrics.jsonl beside it; {} if there are none."""
    name = re.fullmatch(r"model_epoch_(\d+)", path.stem)
    try:
        records = read_json_lines(path.parent / "metrics.jsonl", "metrics")
        return next((r for r in records if name and r.get("epoch") == int(name[1])), {})
    except UserError:  # there are none
        return {}


def calibration_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a small table, whose columns of validation are left out if nothing was validated."""
    table = list(rows)
    known, apart = (any(name in row for row in table) for name in ("compliance", "sensitive_factor"))
    lines = [
        f"{'tolerance':>9}  {'factor':>6}  {'calibrated':>10}"
        + (f"  {'sensitive':>9}" if apart else "")
        + (f"  {'within':>6}  {'worst':>5}" if known else "")
    ]
    for row in table:
        line = f"{row['tol']:>9g}  {row['factor']:>6.3g}  {row['calibrated_tolerance']:>10.3g}"
        if apart:
            line += f"  {row['sensitive_factor']:>9.3g}" if "sensitive_factor" in row else f"  {'-':>9}"
        if known:
            within, worst = (percent(row.get(name)) for name in ("compliance", "worst_compliance"))
            line += f"  {within:>6}  {worst:>5}"
        lines.append(line)
    return [*lines, *([SENSITIVE] if apart else []), *([WITHIN] if known else [])]
