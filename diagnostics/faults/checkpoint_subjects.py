"""Checkpoints of trainings, which need PyTorch: reading them, and going on with the training."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

from archive_damages import OF_ARCHIVES, OF_CHECKPOINTS
from cases import Subject
from contents import Contents, digest_of
from damages import BYTES, FLIPS, SEALED_BYTES
from file_subjects import _model_contents

DAMAGES = (FLIPS, BYTES, SEALED_BYTES, OF_ARCHIVES, OF_CHECKPOINTS, OF_CHECKPOINTS)
# without a limit on retrains a training from a state that no step passes goes on for ever, as it must
SETTINGS = (
    "--ic kepler:e=0.3 --epochs 2 --steps-per-epoch 3 --replay-steps 3 --replay-min-steps 1 --max-retrain-steps 100 --layers 4 "
    "--seed 1 --device cpu"
)
WITH_HISTORY = "--feature-type delta_mag --history-len 1 --external-field tidal:M=3,R0=9 --normalize"
ON_RUNS = (
    "--judge run --ic-family kepler --num-orbits 1 --epochs 1 --replay-steps 2 --replay-min-steps 1 --replay-batch-size 1 "
    "--validation 4 --calibration 0 --layers 4 --tolerances 1e-2 1e-3 --seed 1 --device cpu --checkpoint-interval 1"
)


def _train(*arguments: str) -> dict[str, Any]:
    """Run `aitimestepper train`, and return what the training returns."""
    from aitimestepper.cli.arguments import parse
    from aitimestepper.cli.training import train_run

    with contextlib.redirect_stderr(io.StringIO()):
        return train_run(parse(["train", *arguments, "--quiet"]))[2]


def _trained(folder: Path, arguments: str) -> tuple[Path, ...]:
    """Train a small network, and return its newest checkpoint, alone in a folder."""
    from aitimestepper.training.checkpoints import find_checkpoint

    run = folder / "training"
    _train(*arguments.split(), "--out-dir", str(run), "--save-name", "run")
    newest = find_checkpoint(run / "run")
    shutil.copyfile(newest, folder / newest.name)
    shutil.rmtree(run)
    return (folder / newest.name,)


def _contents(path: Path) -> Contents:
    from aitimestepper.training.checkpoints import load_checkpoint

    found = load_checkpoint(path)
    values = {f.name: _plain(getattr(found, f.name)) for f in dataclasses.fields(found)}
    return Contents(digest_of(values, found.as_model().digest))


def _plain(value: Any) -> Any:
    """Return states of particles as their tensors and G, other objects as they are."""
    return [value.tensors(), value.G, repr(value.external_field)] if hasattr(value, "tensors") else value


def _exported(path: Path) -> Contents:
    """Write the model of the checkpoint, and read it."""
    from aitimestepper.training.checkpoints import export_model

    made = export_model(path)
    return _model_contents(made)


def _resumed(path: Path) -> Contents:
    """Train one more epoch, and read the checkpoint after it."""
    from aitimestepper.training.checkpoints import find_checkpoint, load_checkpoint

    done = _train("--resume", str(path), "--epochs", "3")
    found = load_checkpoint(find_checkpoint(path.parent))
    kept = (done["epochs_completed"], found.epoch, found.model_state, found.optimizer_state, found.random_state, found.history)
    return Contents(digest_of(*kept, _plain(found.current_state)))


def subjects() -> list[Subject]:
    """Return checkpoints of both judges, read; and one that a training goes on from."""
    readings = {"load": _contents, "export": _exported}

    def subject(name: str, arguments: str, readings: Any, weight: float) -> Subject:
        return Subject(name, lambda folder: _trained(folder, arguments), readings, DAMAGES, weight, needs="torch")

    return [
        subject("checkpoint", SETTINGS, readings, 4.0),
        subject("checkpoint, history and field", f"{SETTINGS} {WITH_HISTORY}", readings, 2.0),
        subject("checkpoint, judge run", ON_RUNS, readings, 2.0),
        subject("checkpoint, resumed", f"{SETTINGS} {WITH_HISTORY}", {"resume": _resumed}, 1.0),
    ]
