"""Recorders of epoch metrics: one interface, to a JSONL file always, to Weights & Biases when asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import UserError
from ..files import LinesFile, make_folder, read_json_lines


class Recorder:
    """Takes one record per epoch; the base class ignores everything."""

    def progress(self, stage: str, done: int, total: int, words: str) -> None:
        """Receive the progress inside an epoch or after the last one: part 1, part 2, validation, calibration."""

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Receive the record of an epoch that has ended."""

    def close(self) -> None:
        """Release all resources at the end of the training."""


class JsonlRecorder(Recorder):
    """One line of JSON per epoch, on disk when it is written; on resume, records after the checkpoint are dropped first."""

    def __init__(self, path: Path, epochs_done: int = 0) -> None:
        earlier = read_json_lines(path, "metrics") if epochs_done and os.path.lexists(path) else []
        kept = [record for record in earlier if _epoch_of(record) <= epochs_done]
        self._file = LinesFile(path, kept)

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Append a line."""
        self._file.append(metrics)

    def refuse_lost(self) -> None:
        """Raise an error if the file was removed meanwhile."""
        self._file.refuse_lost()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _epoch_of(record: Mapping[str, Any]) -> float:
    """Return the epoch of a record; infinite for one that no training wrote."""
    epoch = record.get("epoch")
    return epoch if isinstance(epoch, (int, float)) and not math.isnan(epoch) else math.inf


class WandbRecorder(Recorder):
    """Logs to a run of Weights & Biases, which stays open: who began it finishes it."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Log a record at its own epoch."""
        self.run.log(dict(metrics), step=int(metrics["epoch"]))


def begin_wandb(config: Config, name: str, folder: Path) -> Any:
    """Begin a run of Weights & Biases; with WANDB_MODE=offline everything stays on disk."""
    try:
        import wandb
    except ImportError:
        raise UserError(
            "wandb = true needs the extra: pip install 'aitimestepper[wandb]'; metrics go to JSONL without it."
        ) from None
    make_folder(folder)
    about: dict[str, Any] = {"project": "aitimestepper", "name": name, "dir": str(folder), "config": config.as_wandb_dict()}
    try:
        return wandb.init(**about, settings=wandb.Settings(silent=True))
    except wandb.errors.Error as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"Weights & Biases cannot start ({reason}): run wandb login, set WANDB_MODE=offline, or leave --wandb out."
        ) from None


class Recorders(Recorder):
    """Several recorders as one."""

    def __init__(self, *recorders: Recorder) -> None:
        self.recorders = recorders

    def progress(self, stage: str, done: int, total: int, words: str) -> None:
        """Pass the progress on to all recorders."""
        for recorder in self.recorders:
            recorder.progress(stage, done, total, words)

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Pass the record on to all recorders."""
        for recorder in self.recorders:
            recorder.record(metrics)

    def close(self) -> None:
        """Close all recorders."""
        for recorder in self.recorders:
            recorder.close()


def epoch_record(epoch: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of one epoch, under the names of the contract, which files and dashboards use."""
    part1, part2 = result["trajectory_metrics"], result["generalization_metrics"]
    record: dict[str, Any] = {
        "epoch": epoch,
        "epoch_time": result["epoch_time"],
        "part1/trajectory_length": part1["trajectory_length"],
        "part1/mean_retrain_iterations": part1["mean_retrain_iterations"],
        "part1/max_retrain_iterations": part1["max_retrain_iterations"],
        "part1/mean_energy_error": part1["mean_energy_error"],
        "part1/mean_dt": part1["mean_dt"],
        "part1/warmup_discarded": part1["warmup_discarded"],
        "part1/acceptance_rate": 1.0 / (1.0 + part1["mean_retrain_iterations"]),
        "part2/converged": result["converged"],
        "part2/iterations": result["part2_iterations"],
        "part2/final_pass_rate": part2["final_pass_rate"],
        "part2/mean_rel_dE": part2["mean_rel_dE"],
        "part2/max_rel_dE": part2["max_rel_dE"],
    }
    return {**record, **result["more"]}
