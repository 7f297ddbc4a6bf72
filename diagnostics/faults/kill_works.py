"""Work that can be killed and gone on with: simulations of several kinds, both trainings, and a study of steps."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contents import digest_of
from snapshot_subjects import FIELDS, short_turns

from aitimestepper import Bodies, Ensemble, FreeFall, Snapshots, Symmetrized, ensemble, resume, simulate
from aitimestepper.cli import main
from aitimestepper.criteria.classical import PRS23
from aitimestepper.files import write_atomically
from aitimestepper.initial.named import figure8, kepler
from aitimestepper.models import load_model

KEY = ("criterion", "variant", "integrator", "family", "mode", "tolerance")  # of records of studies
KEPT = ("seeds", "value", "forces_each", "errors")
SPECIFICATION = "it.toml"  # what a work reads; not what it writes
TIMES = ("wall_time", "epoch_time", "total_time", "seconds", "time_of_day")


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Work:
    """Something that takes long; all in one folder, which is the working directory."""

    name: str
    begin: Callable[[Path], object]
    begun: Callable[[Path], bool]  # whether there is something to go on from
    go_on: Callable[[Path], object]
    outcome: Callable[[Path], dict[str, str]]
    warm_up: Callable[[], object] = nothing  # what all of it needs and a fork inherits
    needs: str = "aitimestepper"  # the module that it cannot do without


# ---- simulations ---------------------------------------------------------------------------------------------------------
def _simulation(name: str, bodies: Callable[[], Bodies], **run: Any) -> Work:
    """Return a run with output that saves its state in every turn, of a few milliseconds."""
    given = {"threads": 1, "warn": False, **run}

    def begin(folder: Path) -> None:
        with short_turns(2e-3):
            simulate(bodies(), output=folder / "run.h5", overwrite=True, **given)

    def go_on(folder: Path) -> None:
        with short_turns(2e-3):
            resume(folder / "run.h5", threads=1)

    def outcome(folder: Path) -> dict[str, str]:
        with Snapshots(folder / "run.h5") as s:
            rows = {field: digest_of(s.column(field)[:]) for field in FIELDS}
            return {**rows, "status": str(s.status), "rows": str(len(s)), "summary": digest_of(_timeless(s.result))}

    return Work(name, begin, lambda folder: (folder / "run.h5").exists(), go_on, outcome, lambda: simulate(bodies(), **given))


def _timeless(tree: Any) -> Any:
    """Return values without those that say how long something took."""
    if isinstance(tree, dict):
        return {key: _timeless(value) for key, value in tree.items() if str(key).rpartition("/")[2] not in TIMES}
    return [_timeless(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def _three() -> Bodies:
    b = figure8(3)
    return Bodies([1.0, 1.2, 0.9], b.position, b.velocity, softening=0.01)


def _batch() -> Bodies:
    pairs = [kepler(e, dim=3) for e in (0.1, 0.3, 0.6)]
    return Bodies.stack([_three(), *(Bodies(b.mass, b.position, b.velocity, softening=0.01) for b in pairs)])


# ---- commands ------------------------------------------------------------------------------------------------------------
def _command(words: str) -> None:
    code = main(words.split())
    if code:
        raise SystemExit(code)


def _training(name: str, flags: str) -> Work:
    begin = f"train {flags} --checkpoint-interval 1 --seed 1 --save-name it --quiet"

    def outcome(folder: Path) -> dict[str, str]:
        run = folder / "runs/it"
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        models = {path.name: load_model(path).digest for path in sorted(run.glob("*.npz"))}
        return {**models, "records": digest_of(_timeless(records)), "epochs": str([one["epoch"] for one in records])}

    return Work(
        name,
        lambda _: _command(f"{begin} --overwrite"),
        lambda folder: any(folder.glob("runs/it/*.pt")),
        lambda _: _command("train --resume it --quiet"),
        outcome,
        _load_torch,
        needs="torch",
    )


def _load_torch() -> None:
    import torch

    for name in ("training.epochs", "cli.training", "cli.training_progress"):  # once for all forks
        importlib.import_module(f"aitimestepper.{name}")
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).step()  # loads what an optimizer loads when it is first used


def _study(name: str, words: str) -> Work:
    """Return a study of `bench`, which goes on by the same command."""
    command = f"bench {words} --threads 1 --out it.json --quiet --overwrite"

    def outcome(folder: Path) -> dict[str, str]:
        found = json.loads((folder / "it.json").read_text())
        kept = [{k: one.get(k) for k in (*KEY, *KEPT)} for one in found["records"]]
        keys = [json.dumps([one[k] for k in KEY]) for one in kept]
        return {"records": digest_of(kept), "twice": str(len(keys) - len(set(keys)))}

    return Work(name, lambda _: _command(command), lambda _: False, lambda _: _command(command), outcome, _load_kernels)


def _sweep() -> Work:
    """Return a sweep of six short trainings, some of which are ended early."""

    def run(folder: Path) -> None:
        write_atomically(folder / SPECIFICATION, SWEEP.encode())
        _command("sweep it.toml --quiet")

    def outcome(folder: Path) -> dict[str, str]:
        import optuna

        here = folder / "runs/it"
        trials = optuna.load_study(study_name="it", storage=f"sqlite:///{here / 'sweep.db'}").get_trials()
        kept = [(one.number, one.state.name, one.value, one.params, one.intermediate_values) for one in trials]
        figure = (here / "sweep.png").read_bytes()[:4] == b"\x89PNG"
        models = {path.name: load_model(path).digest for path in sorted(here.glob("*/*.npz"))}
        return {**models, "trials": digest_of(kept), "best": (here / "best.toml").read_text(), "figure": str(figure)}

    def warm_up() -> None:
        _load_torch()
        for name in ("optuna.samplers", "optuna.storages", "optuna.pruners", "matplotlib.figure"):
            importlib.import_module(name)

    return Work("sweep", run, lambda _: False, run, outcome, warm_up, needs="optuna")


def _ensemble() -> Work:
    """Return an ensemble of 40 parts, by two threads."""

    def run(folder: Path) -> None:
        write_atomically(folder / SPECIFICATION, ENSEMBLE.encode())
        _command(f"ensemble it.toml --threads 2 --quiet{' --resume' if (folder / 'it/ensemble.json').exists() else ''}")

    def outcome(folder: Path) -> dict[str, str]:
        found = Ensemble.load(folder / "it")
        table = found.table()  # at once: to read 40 parts for each column takes longer than the ensemble
        columns = {name: table[name].to_numpy() for name in table.column_names}
        numbers = columns["number"].tolist()
        about = {"finished": str(found.finished), "twice": str(len(numbers) - len(set(numbers)))}
        return {**about, **{name: digest_of(values.tolist()) for name, values in columns.items()}}

    def warm_up() -> None:
        importlib.import_module("pyarrow.parquet")
        ensemble("triple:0-20", tol=1e-4, chunk=10, threads=1)

    return Work("ensemble", run, lambda _: False, run, outcome, warm_up, needs="pyarrow")


def _load_kernels() -> None:
    """Compile or load what the forks run."""
    if importlib.util.find_spec("matplotlib"):
        importlib.import_module("matplotlib.figure")
    for bodies in (_batch(), _three()):
        simulate(bodies, steps=2, criterion=FreeFall(0.01), integrator="leapfrog")


STEPS = "--ic kepler:e=0.6 --epochs 8 --steps-per-epoch 4 --feature-type basic"
RUNS = "--judge run --tolerances 1e-2 --ic-family kepler --layers 6 --epochs 3 --num-orbits 2 --replay-steps 20"
RUNS += " --replay-min-steps 10 --replay-batch-size 4 --validation 4 --calibration 8 --threads 1"
SWEEP = """
trials = 6
[train]
ic = "kepler:e=0.6"
epochs = 3
steps_per_epoch = 2
feature_type = "basic"
checkpoint_interval = 1
seed = 1
[range]
lr = { low = 1e-4, high = 1e-2, log = true }
layers = [[8], [4]]
"""
ENSEMBLE = 'source = "triple:0-400"\ntol = 1e-4\nchunk = 10\n'
FEW = "--criteria freefall energybudget --integrators leapfrog --families kepler random3 --train 4 --test 3 --tol 1e-2"
CURVES = "--problems kepler0.9 --criteria freefall prs23 --integrators leapfrog --variants plain --tol 1e-2 1e-3"
STUDIES = [
    _study("bench steps", f"steps {FEW} --budget 20000"),
    _study("bench curves", f"curves --no-peers {CURVES}"),
    _study("bench rl", "rl --quick --criteria freefall tidal prs23"),
    _study("bench longrun", "longrun --quick --orbits 20 --criteria freefall prs23"),
]
WORKS = [
    _simulation(
        "simulate", _three, t_end=400.0, criterion=Symmetrized(FreeFall(0.01)), integrator="leapfrog", output_every=0.25
    ),
    _simulation("simulate, guard", _three, t_end=40.0, criterion=FreeFall(0.05), guard=True, tol=1e-6, output_every=0.25),
    _simulation("simulate, radau15", _three, t_end=100.0, criterion=PRS23(0.02), integrator="radau15", output_every=0.5),
    _simulation(
        "simulate, events", _three, t_end=100.0, criterion=FreeFall(0.01), events="encounter:below=0.9", output_every=0.5
    ),
    _simulation("simulate, batch", _batch, t_end=200.0, criterion=FreeFall(0.01), integrator="suzuki4", output_every=0.25),
    _training("train, judge step", STEPS),
    _training("train, judge run", RUNS),
    *STUDIES,
    _ensemble(),
    _sweep(),
]
