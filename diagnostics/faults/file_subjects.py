"""Models, suites, results of studies, initial conditions, settings and records of a training, with their readers."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from archive_damages import OF_MODELS
from cases import Subject
from contents import Contents, digest_of
from damages import BYTES, FLIPS, SEALED_BYTES
from hdf5_damages import SEALED_STRUCTURES, STRUCTURES, canaries
from snapshot_subjects import bodies_digest, bodies_of
from text_damages import ON_ARRAY, ON_JSON, ON_LINES

from aitimestepper import LearnedStep, simulate
from aitimestepper.bench.records import Partial, Record, Results, plain
from aitimestepper.bodies import Bodies, as_bodies
from aitimestepper.cli import benching
from aitimestepper.cli.arguments import parse, to_toml
from aitimestepper.cli.inspection import inspect_file, print_inspection
from aitimestepper.cli.model_inspection import last_epoch
from aitimestepper.config import Config, load_toml
from aitimestepper.features import Scales, feature_count
from aitimestepper.initial import named
from aitimestepper.initial.suite_file import load_suite, save_suite
from aitimestepper.initial.suites import make_suite, reference_case
from aitimestepper.models import Model, load_model, model_name, save_model, shipped
from aitimestepper.training.metrics import JsonlRecorder

EPOCH = 7
GOOD = "before.json"  # beside the results of a study, to compare them with


# ---- models ----------------------------------------------------------------------------------------------------------
def untrained_model() -> Model:
    """Return a network of random weights with scales, Fourier features, a card and initial conditions."""
    config = Config.from_dict({"feature_type": "basic", "layers": (5, 7), "ic": "kepler:e=0.3", "fourier_features": 2})
    rng, inputs = np.random.default_rng(0), feature_count(config.feature_type, config.history_len)
    weights = {"frequencies": rng.normal(size=(inputs, 2))}
    weights |= {name: np.full(inputs, end) for name, end in (("lowest", -np.inf), ("highest", np.inf))}
    width = inputs + 4
    for k, out in enumerate(config.layers):
        weights |= {f"hidden.{2 * k}.weight": 0.1 * rng.normal(size=(out, width)), f"hidden.{2 * k}.bias": np.zeros(out)}
        width = out
    for head in ("log_dt", "log_error"):
        weights |= {f"{head}.weight": 0.1 * rng.normal(size=(1, width)), f"{head}.bias": np.full(1, -1.0)}
    start = bodies_of(named.kepler(0.3), softening=0.01)
    return Model(config, weights, Scales(1.0, 2.0, 3.0, 4.0, 5.0), {"command": "train"}, start)


def _model_contents(path: Path) -> Contents:
    model = load_model(path)
    start = model.initial_conditions
    about = (model.config.to_dict(), dict(model.weights), model.scales, dict(model.card), model.calibration, model.integrator)
    return Contents(digest_of(model.digest, *about, None if start is None else bodies_digest(start)))


def _model_in_use(path: Path) -> Contents:
    """Simulate a few steps with the network."""
    step = LearnedStep.load(path)
    done = simulate(named.kepler(0.5), steps=5, criterion=step, threads=1, warn=False)
    return Contents(digest_of(bodies_digest(done.final), done.dt_min, done.dt_max, done.criterion, done.integrator))


def _model_inspected(path: Path) -> Contents:
    content = inspect_file(path)
    with contextlib.redirect_stdout(io.StringIO()):
        print_inspection(content)
    return Contents(digest_of({name: content[name] for name in content if name not in ("file", "size", "next")}))


def _model(name: str, model: Any) -> Subject:
    def make(folder: Path) -> tuple[Path, ...]:
        return (save_model(folder / "model.npz", model()),)

    readings = {"load": _model_contents, "inspect": _model_inspected, "simulate": _model_in_use}
    return Subject(f"model, {name}", make, readings, (FLIPS, BYTES, OF_MODELS, OF_MODELS), 3.0)


# ---- suites ----------------------------------------------------------------------------------------------------------
def _suite_contents(path: Path) -> Contents:
    suite = load_suite(path)
    cases = [(c.name, c.family, list(c.initial), c.t_end, c.softening, [list(k) for k in c.known]) for c in suite.cases]
    start, ends = suite.batch()
    made = (suite.families, suite.family_of, suite.checksum, bodies_digest(start), ends)
    return Contents(digest_of(suite.name, suite.split, suite.seeds, cases, *made))


def _suite(folder: Path) -> tuple[Path, ...]:
    """Write problems of two families, and one with known facts."""
    suite = make_suite(("kepler", "triple"), "validation", 3, dim=2)
    path = save_suite(dataclasses.replace(suite, cases=(*suite.cases, reference_case("burrau"))), folder / "suite.h5")
    canaries(folder, path)
    return (path,)


def _foreign_suite(folder: Path) -> tuple[Path, ...]:
    """Write a suite with the least that another program must write: without a seal, damage to it cannot be seen."""
    import h5py

    suite, path = make_suite(("kepler",), "validation", 4, dim=2), folder / "suite.h5"
    with h5py.File(path, "w") as file:
        for name in ("mass", "position", "velocity"):
            file[name] = np.stack([getattr(case.initial, name) for case in suite.cases])
        file["t_end"] = [case.t_end for case in suite.cases]
        file["name"] = np.array([case.name for case in suite.cases], "S")
        file.attrs["name"] = "mine"
    canaries(folder, path)
    return (path,)


# ---- results of studies ----------------------------------------------------------------------------------------------
def results(factor: float = 1.0) -> Results:
    """Return results of a small study, with numbers that `factor` changes."""
    one = Record("steps", "s", "all", "test", [0, 8], "freefall", "plain", "leapfrog", 1e-3, "asked", 8)
    forces = (1000 * factor * np.exp(np.random.default_rng(1).normal(0, 1, 8))).tolist()
    numbers: dict[str, Any] = {"value": 0.02, "compliance": 0.9, "compliance_interval": [0.8, 1.0]}
    numbers |= {"forces": float(np.exp(np.log(forces).mean())), "forces_interval": [500.0, 2000.0]}
    numbers |= {"forces_each": forces, "errors": [1e-4] * 7 + [None], "error_quantiles": {"0.9": 1e-3, "1": None}}
    whole = dataclasses.replace(one, **numbers)
    part = dataclasses.replace(whole, family="kepler", n=4, forces_each=None, errors=None)
    fitted = dataclasses.replace(whole, mode="calibrated", more={"step_parameter_spread": 0.1})
    names = [f"{family}-{k}" for family in ("kepler", "triple") for k in range(4)]
    settings = {"dim": 3, "budget": 1000, "share": 0.9, "measured_on": "x"}
    return Results("steps", "aitimestepper bench steps", settings, [whole, part, fitted], names)


def _results_contents(path: Path) -> Contents:
    found = Results.load(path)
    rest = {f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name != "records"}
    return Contents(digest_of(rest, [(plain(r), repr(r.key)) for r in found.records]))


def _compared(path: Path) -> Contents:
    """Compare the results with others as the command line does, in both directions."""
    other = path.with_name(GOOD)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        for pair in ((other, path), (path, other)):
            benching.run(parse(["bench", "compare", *map(str, pair), "--all"]))
    return Contents(digest_of(said.getvalue().replace(str(path.parent), "")))


def _study(suffix: str) -> Subject:
    def make(folder: Path) -> tuple[Path, ...]:
        results(1.1).save(folder / GOOD)
        return (results().save(folder / f"after{suffix}"),)

    readings = {"load": _results_contents, "compare": _compared}
    return Subject(f"results {suffix}", make, readings, (FLIPS, BYTES, ON_JSON, ON_JSON), 2.0, text=True)


def _unfinished(folder: Path) -> tuple[Path, ...]:
    partial = Partial(folder / "study.json", {"a": 1})
    for name in ("one", "two"):
        partial.add(name, results().records)
    partial.stop()
    return (partial.path,)


def _continued(path: Path) -> Contents:
    """Read the finished parts of a study that was stopped, from a copy."""
    copy = path.with_name("copy.json.partial")
    shutil.copyfile(path, copy)
    partial = Partial(copy.with_suffix(""), {"a": 1})
    partial.stop()
    return Contents(digest_of({name: [plain(r) for r in parts] for name, parts in partial.done.items()}))


# ---- initial conditions and settings ---------------------------------------------------------------------------------
def _initial_contents(path: Path) -> Contents:
    made = named.file(str(path))
    start = Bodies(made.mass, made.position, made.velocity)
    return Contents(digest_of(bodies_digest(start), start.total_energy()))


def _initial(suffix: str) -> Subject:
    def make(folder: Path) -> tuple[Path, ...]:
        made, path = named.random(4, 3, seed=1), folder / f"start{suffix}"
        rows = np.column_stack([made.mass, made.position, made.velocity])
        np.save(path, rows) if suffix == ".npy" else np.savetxt(path, rows, header="mass, position, velocity")
        return (path,)

    own = ON_ARRAY if suffix == ".npy" else ON_LINES
    return Subject(f"initial conditions {suffix}", make, {"read": _initial_contents}, (FLIPS, BYTES, own), text=True)


TABLE = """# name, m [Msun], x [au], y [au], z [au], vx [km/s], vy [km/s], vz [km/s]
sun, 1.0, 0, 0, 0, 0, 0, 0
"a planet", 3e-6, 1.0, 0, 0, 0, 29.78, 0
probe, 0, 0, 1.5, 0.1, -24.1, 0.0, 0.5
"""


def _table(folder: Path) -> tuple[Path, ...]:
    (folder / "table.csv").write_text(TABLE)
    return (folder / "table.csv",)


def _bodies_hdf5(folder: Path) -> tuple[Path, ...]:
    """Write bodies as other programs do, one data set a quantity, with units."""
    import h5py

    made, path = named.random(5, 3, seed=1), folder / "bodies.h5"
    with h5py.File(path, "w") as file:
        file.attrs["program"] = np.bytes_("another one")
        group = file.create_group("PartType1")
        for name, values, unit in (
            ("Masses", made.mass, "Msun"),
            ("Coordinates", made.position, "pc"),
            ("Velocities", made.velocity, "km/s"),
        ):
            group.create_dataset(name, data=values).attrs["units"] = np.bytes_(unit)
    canaries(folder, path)
    return (path,)


def _as_given(path: Path) -> Contents:
    made = as_bodies(path)
    return Contents(digest_of(bodies_digest(made), made.total_energy()))


def _settings(folder: Path) -> tuple[Path, ...]:
    path = folder / "my.toml"
    shared: dict[str, Any] = {"ic": "kepler:e=0.9", "softening": 0.01, "seed": 3}
    train: dict[str, Any] = {"epochs": 10, "layers": [8, 8], "lr": 1e-3, "feature_type": "basic", "recheck_trajectory": True}
    tables: dict[str, dict[str, Any]] = {"": shared, "[train]\n": train, "[simulate]\n": {"t_end": 60.0, "tol": 1e-5}}
    path.write_text("\n".join(head + to_toml(values) for head, values in tables.items()))
    return (path,)


def _settings_contents(path: Path) -> Contents:
    given = [load_toml(path, command) for command in ("train", "simulate")]
    requests = [parse([command, "--config", str(path)]) for command in ("train", "simulate", "both")]
    settings = [(request.settings, request.simulation) for request in requests]
    return Contents(digest_of([Config.from_dict(one).to_dict() for one in given], settings))


# ---- records of a training -------------------------------------------------------------------------------------------
def _records(folder: Path) -> tuple[Path, ...]:
    """Write the records of ten epochs beside the model of the seventh."""
    save_model(folder / model_name(EPOCH), untrained_model())
    recorder = JsonlRecorder(folder / "metrics.jsonl")
    for epoch in range(1, 11):
        numbers = {"part1/acceptance_rate": 0.9, "part1/mean_dt": 0.01 * epoch, "part1/mean_energy_error": 1e-5}
        part2 = {"part2/converged": True, "part2/iterations": 12, "part2/final_pass_rate": 1.0, "part2/mean_rel_dE": 1e-6}
        recorder.record({"epoch": epoch, "epoch_time": 0.5, **numbers, **part2})
    recorder.close()
    return (folder / "metrics.jsonl",)


def _records_inspected(path: Path) -> Contents:
    model = path.with_name(model_name(EPOCH))
    return Contents(digest_of(last_epoch(model), _model_inspected(model)))


def _records_continued(path: Path) -> Contents:
    """Go on with the records of seven epochs, in a copy."""
    copy = path.with_name("copy.jsonl")
    shutil.copyfile(path, copy)
    recorder = JsonlRecorder(copy, EPOCH)
    recorder.record({"epoch": EPOCH + 1, "epoch_time": math.pi})
    recorder.close()
    return Contents(digest_of([json.loads(line) for line in copy.read_text().splitlines()]))


def _records_drawn(path: Path) -> Contents:
    """Draw the records as the report of a run does."""
    from aitimestepper.cli.reporting import _training_records
    from aitimestepper.report.figures import training_figure

    records = _training_records(path)
    figure = training_figure(records, 1e-4)
    return Contents(digest_of(records, [line.get_xydata() for axes in figure.axes for line in axes.lines]))


def subjects() -> list[Subject]:
    """Return all kinds of files but simulations and checkpoints."""
    lines, drawn, readings = (FLIPS, BYTES, ON_JSON), {"report": _records_drawn}, {"load": _suite_contents}
    return [
        _model("of the package", lambda: shipped("chin4")),
        _model("untrained", untrained_model),
        Subject("suite", _suite, readings, (FLIPS, BYTES, STRUCTURES, SEALED_STRUCTURES, SEALED_BYTES), 4.0),
        Subject("suite of another program", _foreign_suite, readings, (FLIPS, BYTES, STRUCTURES), 1.0, text=True),
        _study(".json"),
        _study(".json.gz"),
        Subject("unfinished study", _unfinished, {"continue": _continued}, lines, text=True),
        _initial(".npy"),
        _initial(".txt"),
        Subject("initial conditions, table", _table, {"read": _as_given}, (FLIPS, BYTES, ON_LINES), text=True),
        Subject("initial conditions .h5", _bodies_hdf5, {"read": _as_given}, (FLIPS, BYTES, STRUCTURES), text=True),
        Subject("settings .toml", _settings, {"read": _settings_contents}, (FLIPS, BYTES, ON_LINES, ON_LINES), 2.0, text=True),
        Subject("metrics.jsonl", _records, {"inspect": _records_inspected, "resume": _records_continued}, lines, text=True),
        Subject("metrics.jsonl, drawn", _records, drawn, lines, 0.3, text=True, needs="matplotlib"),
    ]
