"""Trained networks as values, read, written and compared without torch; and the networks of the package."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..config import Config
from ..errors import CheckpointError, ConfigError, UserError, nearest_name_hint
from ..features import Scales, feature_count
from ..fields import field_from
from ..files import conforms, grouped, pack_arrays, path_shown, unpack_arrays, write_atomically
from ..integrators import INTEGRATORS, SPLITTINGS
from ..validation import as_constant

FORMAT, VERSION = "aitimestepper model", 1
NETWORK = "FullyConnectedNN"  # the only kind of network that the engine can evaluate
# entries of a card that simulations depend on
CARD = {
    "calibration": list[list[float]],
    "sensitive_calibration": list[list[float]],
    "symmetrization": list[float],
    "learned": list[float],
    "integrator": str,
}
FOLDER = Path(__file__).parent
SHIPPED = tuple(name for name in SPLITTINGS if os.path.isfile(FOLDER / f"{name}.npz"))  # splittings with a network
# Hermite takes one force evaluation a step where chin4, of the same order, takes three. Its network is asked for a tolerance
# smaller by this factor, so that nine in ten runs are within the tolerance (tests/evaluation/test_shipped.py).
HERMITE_FACTOR = 30.0


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with all that is needed to use it correctly; two models are equal if they choose the same steps.

    `weights` are float64 arrays named as in the state_dict of `differentiable.network.FullyConnectedNN`. `card` describes the
    training of a model that was trained on runs, and its calibration.
    """

    config: Config
    weights: Mapping[str, np.ndarray]
    scales: Scales | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    initial_conditions: Bodies | None = None  # bodies of the training
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        weights = {name: np.array(values, dtype=np.float64) for name, values in sorted(self.weights.items())}
        for values in weights.values():
            values.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        _check_card(self)
        _check_shapes(self)
        others = (self.symmetrization, self.card.get("sensitive_calibration") and self.sensitive_calibration)
        how = (self.config, self.scales, self.calibration, *filter(None, others))
        found = hashlib.sha256(repr(how).encode())
        for name, values in weights.items():
            found.update(name.encode() + values.tobytes())
        object.__setattr__(self, "digest", found.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        features = self.config.feature_type
        return f"Model({features}, layers={self.config.layers}, integrator={self.config.integrator}, {self.digest[:12]})"

    def _repr_html_(self) -> str:
        from .described import html_of

        return html_of(self)

    @property
    def calibration(self) -> tuple[tuple[float, float], ...]:
        """Pairs (tolerance, calibrated tolerance / tolerance) with which true runs stay within the tolerance."""
        return tuple((float(tol), float(factor)) for tol, factor in self.card.get("calibration", ()))

    @property
    def sensitive_calibration(self) -> tuple[tuple[float, float], ...]:
        """The same pairs for sensitive systems, which need smaller factors; those of all others if there are none."""
        own = self.card.get("sensitive_calibration")
        return tuple((float(tol), float(factor)) for tol, factor in own) if own else self.calibration

    @property
    def symmetrization(self) -> tuple[float, float] | None:
        """max_ratio and smoothness of the time-symmetric steps that it was calibrated with; None: those of the criterion."""
        given = self.card.get("symmetrization")
        return None if given is None else (float(given[0]), float(given[1]))

    @property
    def integrator(self) -> str:
        """The integrator that the network is for."""
        return str(self.card.get("integrator", self.config.integrator))

    @property
    def sees_tolerance(self) -> bool:
        """Whether the tolerance is an input of the network, and its output is in units of the step of EnergyBudget at it."""
        return self.config.feature_type == "invariant"

    def without_initial_conditions(self) -> Model:
        """Return the same network without the bodies of its training, which no step depends on."""
        return dataclasses.replace(self, initial_conditions=None)

    def hidden_layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (weight (out, in), bias (out,)) of each hidden layer, from the input on."""
        numbers = sorted(int(m[1]) for name in self.weights if (m := re.fullmatch(r"hidden\.(\d+)\.weight", name)))
        return [(self.weights[f"hidden.{k}.weight"], self.weights[f"hidden.{k}.bias"]) for k in numbers]


def _check_shapes(model: Model) -> None:
    """Raise an error for weights that do not fit the network of the configuration; kernels do not check them again."""
    config, weights = model.config, model.weights
    inputs = feature_count(config.feature_type, config.history_len)
    wanted: dict[str, tuple[int, ...]] = {
        "frequencies": (inputs, config.fourier_features),
        "lowest": (inputs,),
        "highest": (inputs,),
    }
    width, per_layer = inputs + 2 * config.fourier_features, 3 if config.dropout > 0 else 2
    for k, out in enumerate(config.layers):
        wanted |= {f"hidden.{per_layer * k}.weight": (out, width), f"hidden.{per_layer * k}.bias": (out,)}
        width = out
    for head in ("log_dt", "log_error"):
        wanted |= {f"{head}.weight": (1, width), f"{head}.bias": (1,)}
    found = {name: values.shape for name, values in weights.items() if not name.endswith(".stream")}
    if found != wanted:
        odd = next(name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name))
        raise CheckpointError(
            f"the weights do not fit the network that the configuration describes: {odd} has the shape {found.get(odd)}, "
            f"not {wanted.get(odd)}."
        )
    if not all(np.isfinite(values).all() for name, values in weights.items() if name not in ("lowest", "highest")):
        raise CheckpointError("some weights of the network are not finite numbers; it cannot choose a step.")


def _check_card(model: Model) -> None:
    """Raise an error for a card with values that no training writes; simulations take its numbers as they are."""
    try:
        card = json.loads(json.dumps(dict(model.card), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise CheckpointError("the card of the network holds values that no file can hold") from None
    for name, kind in CARD.items():
        if not conforms(card.get(name), kind | None):
            raise CheckpointError(f"the card of the network says {name} = {str(card[name])[:60]}")
    calibrations = [*(card.get("calibration") or ()), *(card.get("sensitive_calibration") or ())]
    positive = [number for pair in calibrations for number in pair]
    positive += [x - 1.0 for x in card.get("symmetrization") or ()] + (card.get("learned") or [])
    pairs = [*calibrations, *filter(None, [card.get("symmetrization")])]
    if not all(0 < x < math.inf for x in positive) or any(len(pair) != 2 for pair in pairs):
        raise CheckpointError("some tolerances or factors of the network are not positive numbers")
    if model.integrator.partition(":")[0] not in INTEGRATORS:
        raise CheckpointError(f"the network is for integrator = {model.integrator[:60]}, which is none")


def save_model(path: str | Path, model: Model) -> Path:
    """Write a model to a .npz file, whole or not at all."""
    header, arrays = to_plain(model)
    write_atomically(Path(path), pack_arrays(header, arrays))
    return Path(path)


def load_model(path: str | Path) -> Model:
    """Read a model. Any other file raises a `CheckpointError` of one sentence, and none can run code."""
    return from_plain(*unpack_arrays(Path(path), "model"), path_shown(path))


def to_plain(model: Model) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a model as values for JSON and arrays."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "network": NETWORK,
        "config": model.config.to_dict(),
        "scales": None if model.scales is None else dataclasses.asdict(model.scales),
        "card": json.loads(json.dumps(dict(model.card))),
    }
    arrays = {f"weights/{name}": values for name, values in model.weights.items()}
    if model.initial_conditions is not None:
        header["G"] = model.initial_conditions.G
        arrays |= {f"initial/{name}": values for name, values in model.initial_conditions.arrays().items()}
    return header, arrays


def from_plain(header: dict[str, Any], arrays: Mapping[str, np.ndarray], where: str) -> Model:
    """Return the model that `to_plain` described, or raise a `CheckpointError` that says what is wrong in the file `where`."""
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        found = f"{header.get('format')} {header.get('version')}"[:60]
        raise CheckpointError(f"{where} holds {found}, this program reads {FORMAT} {VERSION}.")
    try:
        config, scales = Config.from_dict(header["config"]), header["scales"]
        parts: dict[str, dict[str, Any]] = grouped(arrays, "weights", "initial")
        initial = (
            Bodies(**parts["initial"], G=as_constant(header["G"]), external_field=field_from(config))
            if parts["initial"]
            else None
        )
        return Model(config, parts["weights"], None if scales is None else Scales(**scales), header["card"], initial)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{where} is damaged or from another version ({reason.rstrip('.')[:200]}).") from None


def model_name(epoch: int) -> str:
    """Return the file name of the model after `epoch` epochs of a training."""
    return f"model_epoch_{epoch:04d}.npz"


def find_model(path_or_run: str | Path, out_dir: str | Path = "runs") -> Path:
    """Return the path of a model: the given .npz, the one beside a .pt, or the newest in a run folder or a run in `out_dir`."""
    path = Path(path_or_run)
    if os.path.isfile(path) and path.suffix == ".pt":
        if not os.path.isfile(path.with_suffix(".npz")):
            raise CheckpointError(
                f"there is no {path.with_suffix('.npz').name} beside {path}: a checkpoint (.pt) continues a training; with "
                "the extra train, aitimestepper.training.checkpoints.export_model(path) writes the model that can be used."
            )
        return path.with_suffix(".npz")
    if os.path.isfile(path):
        return path
    return newest_in_run(path, out_dir, "model", ".npz")


def newest_in_run(run: Path, out_dir: str | Path, what: str, suffix: str) -> Path:
    """Return the newest `model_epoch_XXXX` with that suffix in a run folder, or in the run of that name in `out_dir`.

    what: the word for such a file in the sentence that says that there is none.
    """
    folders = [folder for folder in (run, Path(out_dir) / run) if os.path.isdir(folder)]
    for folder in folders:
        found = [(int(m[1]), p) for p in folder.glob(f"*{suffix}") if (m := re.fullmatch(r"model_epoch_(\d+)", p.stem))]
        if found:
            return max(found)[1]
    if folders:
        raise CheckpointError(
            f"{folders[-1]} holds no {what} (model_epoch_XXXX{suffix}); name a run that got as far as saving one."
        )
    raise CheckpointError(
        f"there is no {what} or run {run}; give a {suffix} file, a run folder, or the name of a run in {out_dir}/."
    )


def is_shipped(integrator: str) -> bool:
    """Return whether the package has a network for an integrator."""
    return integrator.partition(":")[0] in (*SHIPPED, "hermite4")


@functools.cache
def shipped(integrator: str) -> Model:
    """Return the network of the package for an integrator, read once."""
    if integrator.partition(":")[0] == "hermite4":
        return _for_hermite(shipped("chin4"))
    if not is_shipped(integrator):
        hint = nearest_name_hint(integrator, [*sorted(SHIPPED), "hermite4"])
        raise ConfigError(f"no learned step is shipped for integrator = {integrator}: {hint}")
    return load_model(FOLDER / f"{integrator}.npz")


def _for_hermite(model: Model) -> Model:
    """Return the network of chin4, calibrated for Hermite: it is asked for `HERMITE_FACTOR` times less than for planets."""
    calibration = [[HERMITE_FACTOR * tol, factor / HERMITE_FACTOR] for tol, factor in model.sensitive_calibration]
    changed = {"calibration": calibration, "sensitive_calibration": None, "integrator": "hermite4"}
    return dataclasses.replace(model, card={**model.card, **changed})
