"""Folders of ensembles, and the databases of sweeps, with their readers."""

from __future__ import annotations

import contextlib
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cases import Damage, Parts, Subject
from contents import Contents, digest_of
from damages import BYTES, FLIPS
from text_damages import ON_JSON

from aitimestepper import Ensemble, ensemble
from aitimestepper.cli import main as command
from aitimestepper.errors import UserError

PARTS, SYSTEMS = 3, 8  # of an ensemble; in a part
FOREIGN = "foreign"  # a part of another ensemble, beside those of this one


# ---- ensembles -----------------------------------------------------------------------------------------------------------
def _run(folder: Path, tol: float = 1e-3, resume: bool = False) -> Ensemble:
    return ensemble(f"triple:0-{PARTS * SYSTEMS}", tol=tol, chunk=SYSTEMS, out=folder, resume=resume, threads=1)


def _made(folder: Path) -> None:
    _run(folder)
    _run(folder / "other", tol=1e-2)
    shutil.copyfile(folder / "other/part-000001.parquet", folder / FOREIGN)
    shutil.rmtree(folder / "other")


def _part(folder: Path) -> tuple[Path, ...]:
    _made(folder)
    return (folder / "part-000001.parquet",)


def _manifest(folder: Path) -> tuple[Path, ...]:
    _made(folder)
    return (folder / "ensemble.json",)


def _loaded(path: Path) -> Contents:
    """Read column by column."""
    found = Ensemble.load(path.parent)
    return Contents(digest_of(found.finished, found.spec, *[(name, found[name].tolist()) for name in found.columns]))


def _few_columns(path: Path) -> Contents:
    found = Ensemble.load(path.parent)
    table = found.table(["number", "outcome", "closest_distance"])
    return Contents(digest_of(len(found), table.to_pylist(), found.counts()))


def _inspected(path: Path) -> Contents:
    """Describe the folder as the command does; its words hold the path, which is another one in every case."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as wrong:
        code = command(["ensemble", "inspect", str(path.parent), "--json"])
    if code == 2:
        raise UserError(wrong.getvalue().strip())
    assert code == 0, wrong.getvalue()
    return Contents(digest_of(said.getvalue().replace(str(path.parent), "")))


def _gone_on(path: Path) -> Contents:
    """Go on in a copy: parts that are not whole are made again."""
    copy = path.parent / "copy"
    copy.mkdir()
    for other in (one for one in path.parent.iterdir() if one.is_file()):
        shutil.copyfile(other, copy / other.name)
    try:
        found = _run(copy, resume=True)
        return Contents(digest_of(found.finished, found.spec, found.table().to_pydict()))
    finally:
        shutil.rmtree(copy)


def _copied_from(name: str) -> Damage:
    """Return the damage that another file in the place of this one is."""

    def apply(path: Path, rng: np.random.Generator, parts: Parts) -> str:
        shutil.copyfile(path.with_name(name), path)
        return f"{name} in its place"

    return Damage("another file", apply)


# ---- sweeps --------------------------------------------------------------------------------------------------------------
SWEEP = """
trials = 3
metric = "loss"
prune = false
[train]
epochs = 2
[range]
lr = { low = 1e-4, high = 1e-2, log = true }
layers = [[8], [8, 8]]
"""


def _swept(folder: Path) -> Contents:
    """Run a sweep in a folder as the command does, of trainings without a network, and return its trials."""
    from aitimestepper.training.study import run_sweep
    from aitimestepper.training.sweep import read_sweep

    def train(settings: dict[str, Any], recorder: Any) -> Path:
        for epoch in (1, 2):
            recorder.record({"epoch": epoch, "loss": settings["lr"] * len(settings["layers"]) + 1.0 / epoch})
        return folder / settings["save_name"]

    (folder / "it.toml").write_text(SWEEP)
    sweep = replace(read_sweep(folder / "it.toml"), folder=folder, storage=f"sqlite:///{folder / 'sweep.db'}")
    done = run_sweep(sweep, train)
    return Contents(digest_of(done.trials, done.best, done.settings))


def _database(folder: Path) -> tuple[Path, ...]:
    _swept(folder)
    return (folder / "sweep.db",)


def _swept_again(path: Path) -> Contents:
    """Give the command again, in a copy, for a database that is used may be written to."""
    copy = path.parent / "copy"
    copy.mkdir()
    try:
        shutil.copyfile(path, copy / path.name)
        return _swept(copy)
    finally:
        shutil.rmtree(copy)


def subjects() -> list[Subject]:
    """Return the files of ensembles and sweeps."""
    readings = {"load": _loaded, "columns": _few_columns, "inspect": _inspected, "resume": _gone_on}
    others = (_copied_from("part-000000.parquet"), _copied_from(FOREIGN), _copied_from("ensemble.json"))
    return [
        Subject("ensemble, part", _part, readings, (FLIPS, BYTES, FLIPS, BYTES, others), 2.0, needs="pyarrow"),
        Subject("ensemble, manifest", _manifest, readings, (FLIPS, BYTES, ON_JSON), 1.0, needs="pyarrow"),
        Subject("sweep.db", _database, {"sweep": _swept_again}, (FLIPS, BYTES), 1.0, needs="optuna"),
    ]
