"""A training as the explorer shows it: its metrics along the epochs, its settings, and the command that made it."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import conforms, path_shown, read_json_lines
from ...models import Model, find_model, load_model
from .outcome import words

# metric -> label, and whether its axis is logarithmic
CHARTS = {
    "part1/mean_energy_error": ("energy error of what Part 1 accepted", True),
    "part2/max_rel_dE": ("largest energy error in Part 2", True),
    "part2/mean_rel_dE": ("mean energy error in Part 2", True),
    "part1/acceptance_rate": ("acceptance in Part 1", False),
    "part2/final_pass_rate": ("passed at the end of Part 2", False),
    "part2/iterations": ("iterations of Part 2", False),
    "part1/mean_dt": ("mean dt", True),
    "part1/mean_retrain_iterations": ("mean retries of Part 1", False),
    "validation/cost": ("force evaluations in validation", True),
    "validation/compliance": ("within tolerance in validation", False),
    "epoch_time": ("seconds an epoch", False),
}
WHAT = ("judge", "ic_family", "ic", "num_orbits", "tolerances", "epochs", "steps_per_epoch", "energy_threshold",
        "feature_type", "history_len", "layers", "integrator", "lr", "seed", "start")  # fmt: skip


@dataclass(frozen=True)
class Training:
    """The metrics of a training, each a list over E epochs; NaN where an epoch lacks one."""

    path: Path
    label: str
    epochs: list[float]
    metrics: dict[str, list[float]]
    threshold: float | None  # energy error that Part 1 accepts
    facts: list[tuple[str, str]]
    command: str | None


def read_training(run: str, out_dir: str, label: str) -> Training:
    """Return the training of a run folder, of the name of a run, or of a model file in its folder."""
    path = find_model(run, out_dir)
    folder, model = path.parent, load_model(path)
    metrics = folder / "metrics.jsonl"
    records = read_json_lines(metrics, "metrics") if os.path.isfile(metrics) else []
    records = [r for r in records if conforms(r.get("epoch"), int)]
    if not records:
        raise UserError(
            f"{path_shown(folder)} has no metrics.jsonl with epochs, so there is no training to show: name another run."
        )

    def column(name: str) -> list[float]:
        values = [r.get(name) for r in records]
        return [float(v) if isinstance(v, (int, float)) and conforms(v, bool | float) else math.nan for v in values]

    found = {name: column(name) for name in CHARTS}
    settings = model.config.to_dict()
    if settings.get("ic_family") is not None:  # the problems of the training, instead of this one
        settings["ic"] = None
    facts = [(name.replace("_", " "), _listed(settings[name])) for name in WHAT if settings.get(name) is not None]
    return Training(
        path=folder,
        label=label,
        epochs=column("epoch"),
        metrics={name: values for name, values in found.items() if any(map(math.isfinite, values))},
        threshold=model.config.energy_threshold,
        facts=facts,
        command=_command_of(folder, model),
    )


def _listed(value: Any) -> str:
    return words(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value)


def _command_of(folder: Path, model: Model) -> str | None:
    """Return the command that made a training, from its card, or one with its config.toml; None without both.

    Words of the card are quoted again: what a stranger wrote there is one command of this program, and nothing for a shell.
    """
    given = model.card.get("command")
    if isinstance(given, str) and given.isprintable():
        with contextlib.suppress(ValueError):
            parts = shlex.split(given)
            if parts[:1] == ["aitimestepper"]:
                return shlex.join(parts)
    if os.path.isfile(folder / "config.toml"):
        settings = ["--config", str(folder / "config.toml"), "--save-name", f"{folder.name}-again"]
        return shlex.join(["aitimestepper", "train", *settings])
    return None
