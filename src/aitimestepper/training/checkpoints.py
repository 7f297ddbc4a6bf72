"""Checkpoints (.pt), to continue a training, and before each the model (.npz), to use it without PyTorch.

A checkpoint holds tensors and plain builtins only and is always read with `weights_only=True`: a stranger's file runs no code.
"""

from __future__ import annotations

import dataclasses
import io
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.history import HistoryBuffer
from ..differentiable.network import FullyConnectedNN, build_network, model_from
from ..differentiable.particle import ParticleTorch
from ..errors import CheckpointError
from ..features import Scales
from ..fields import ExternalField, field_from
from ..files import is_sealed, path_shown, read_bytes, seal, write_atomically
from ..models import NETWORK, Model, newest_in_run, save_model

FORMAT, VERSION = "aitimestepper checkpoint", 4
# entries of a checkpoint and their types
ENTRIES: dict[str, tuple[type, ...]] = {
    "config": (dict,),
    "network": (str,),
    "model_state": (dict,),
    "optimizer_state": (dict,),
    "epoch": (int,),
    "metrics": (dict,),
    "scales": (dict, type(None)),
    "initial_conditions": (dict, type(None)),
    "current_state": (dict, type(None)),
    "history": (dict,),
    "random_state": (Tensor, type(None)),
    "totals": (dict,),
    "judge_state": (dict,),
    "card": (dict,),
}
DEEPEST = 20  # values inside values


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint, as objects."""

    config: Config
    model_state: dict[str, Tensor]
    epoch: int = 0  # epochs completed
    optimizer_state: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    scales: Scales | None = None
    initial_conditions: ParticleTorch | None = None
    current_state: ParticleTorch | None = None  # where the next epoch starts
    history: dict[str, Any] = field(default_factory=dict)
    random_state: Tensor | None = None
    network: str = NETWORK
    totals: dict[str, float] = field(default_factory=dict)  # seconds and converged epochs of the training so far
    judge_state: dict[str, Any] = field(default_factory=dict)  # what the judge needs to continue
    card: dict[str, Any] = field(default_factory=dict)  # how a model trained on runs was made, and its calibration

    def build_model(self, device: torch.device | str = "cpu") -> FullyConnectedNN:
        """Return the network with its weights; architecture and precision come from the checkpoint."""
        if self.network != NETWORK:
            raise CheckpointError(
                f"the checkpoint holds a {self.network}, which only you can build: make it, then load_model_state(model, path)."
            )
        model = build_network(self.config)
        _fit(model, self.model_state, "the checkpoint")
        return model.to(device)

    def as_model(self) -> Model:
        """Return the model of the checkpoint: all that simulations need, without torch."""
        return _model(self.build_model(), self.config, self.scales, self.card, self.initial_conditions)


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    config: Config,
    epoch: int = 0,
    metrics: dict[str, Any] | None = None,
    scales: Scales | None = None,
    initial_conditions: ParticleTorch | None = None,
    current_state: ParticleTorch | None = None,
    history: HistoryBuffer | None = None,
    random_state: Tensor | None = None,
    totals: dict[str, float] | None = None,
    judge_state: dict[str, Any] | None = None,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write the model (.npz), then the checkpoint (.pt); an older file stays whole until the new one is complete.

    A network of the user's own, or one that `config` does not describe, gets no model file: simulations without PyTorch cannot
    use it.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, save_checkpoint
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model_epoch_0000.pt"
        >>> save_checkpoint(path, model, optimizer, config=config).name
        'model_epoch_0000.pt'
    """
    _save_model_beside(Path(path), model, config, scales, card, initial_conditions)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.to_dict(),
        "network": type(model).__name__,
        "model_state": dict(model.state_dict()),
        "optimizer_state": {} if optimizer is None else optimizer.state_dict(),
        "epoch": epoch,
        "metrics": dict(metrics or {}),
        "scales": None if scales is None else dataclasses.asdict(scales),
        "initial_conditions": _particle_dict(initial_conditions),
        "current_state": _particle_dict(current_state),
        "history": {} if history is None else history.state_dict(),
        "random_state": random_state,
        "totals": dict(totals or {}),
        "judge_state": dict(judge_state or {}),
        "card": dict(card or {}),
    }
    return save_plain(path, content)


def _save_model_beside(
    path: Path,
    network: nn.Module,
    config: Config,
    scales: Scales | None,
    card: dict[str, Any] | None,
    initial_conditions: ParticleTorch | None,
) -> None:
    """Write the model file of a checkpoint; if it can have none, remove an older file of the same name."""
    beside = path.with_suffix(".npz")
    if type(network) is FullyConnectedNN:
        try:
            save_model(beside, _model(network, config, scales, card, initial_conditions))
            return
        except CheckpointError as error:
            warnings.warn(f"{path.name} comes without a model file that simulations could use: {error}", stacklevel=3)
    beside.unlink(missing_ok=True)


def _model(
    network: FullyConnectedNN,
    config: Config,
    scales: Scales | None,
    card: dict[str, Any] | None,
    initial_conditions: ParticleTorch | None,
) -> Model:
    """Return a network as a model; the external field of its initial conditions is in the configuration."""
    start = None if initial_conditions is None else dataclasses.replace(initial_conditions, external_field=None).to_bodies()
    return model_from(network, config, scales, card, start)


def export_model(path: str | Path) -> Path:
    """Write the model file (.npz) of a checkpoint (.pt) beside it, and return its path."""
    return save_model(Path(path).with_suffix(".npz"), load_checkpoint(path).as_model())


def save_plain(path: str | Path, content: dict[str, Any]) -> Path:
    """Write tensors and plain builtins to a file with a seal, whole or not at all, and return its path."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(Path(path), seal(buffer.getvalue()))
    return Path(path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of this program; any other file raises a `CheckpointError`, and no code in it is run.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, load_checkpoint
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> import tempfile
        >>> from aitimestepper import save_checkpoint
        >>> path = save_checkpoint(tempfile.mkdtemp() + "/mine.pt", model, optimizer, config=config)
        >>> load_checkpoint(path).config == config
        True
    """
    content = _read(Path(path))
    try:
        config = Config.from_dict(content["config"])
        outer = field_from(config)
        scales = content["scales"]
        return Checkpoint(
            config=config,
            model_state=content["model_state"],
            epoch=content["epoch"],
            optimizer_state=content["optimizer_state"],
            metrics=content["metrics"],
            scales=None if scales is None else Scales(**scales),
            initial_conditions=_particle(content["initial_conditions"], outer),
            current_state=_particle(content["current_state"], outer),
            history=content["history"],
            random_state=content["random_state"],
            network=content["network"],
            totals=content["totals"],
            judge_state=content["judge_state"],
            card=content["card"],
        )
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError) as error:
        words = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")[:200]
        raise CheckpointError(f"{path_shown(path)} is damaged or from another version ({words}).") from None


def load_config_from_checkpoint(path: str | Path) -> Config:
    """Return the whole configuration that a checkpoint was trained with.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, load_config_from_checkpoint
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> import tempfile
        >>> from aitimestepper import save_checkpoint
        >>> path = save_checkpoint(tempfile.mkdtemp() + "/mine.pt", model, optimizer, config=config)
        >>> load_config_from_checkpoint(path).steps_per_epoch
        4
    """
    return load_checkpoint(path).config


def load_model_state(model: nn.Module, path: str | Path) -> nn.Module:
    """Put the weights of a checkpoint into `model`, and return it.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, load_model_state
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> import tempfile
        >>> from aitimestepper import save_checkpoint
        >>> path = save_checkpoint(tempfile.mkdtemp() + "/mine.pt", model, optimizer, config=config)
        >>> load_model_state(model, path) is model
        True
    """
    _fit(model, load_checkpoint(path).model_state, str(path))
    return model


def misfit(error: Exception) -> CheckpointError:
    """Return the error for a training state that a checkpoint holds and its settings do not take."""
    words = " ".join(str(error).split())[:200]
    return CheckpointError(f"the training state of the checkpoint does not fit its settings: {words}")


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put the state of a checkpoint into an optimizer, or raise ValueError if it is that of another network or optimizer."""
    usual = [{name: type(x) for name, x in group.items() if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for kinds, group in zip(usual, optimizer.param_groups, strict=True):
        if {name: type(x) for name, x in group.items() if name != "params"} != kinds:
            raise ValueError("the settings of its optimizer are those of another one")
        for parameter in group["params"]:
            found = optimizer.state.get(parameter, {})
            if found and isinstance(optimizer, torch.optim.AdamW) and set(found) != {"step", "exp_avg", "exp_avg_sq"}:
                raise ValueError(f"its optimizer holds {', '.join(map(str, found))} of a weight")
            for name, x in found.items():
                shape = () if name == "step" else parameter.shape
                if not isinstance(x, Tensor) or x.shape != shape or not x.dtype.is_floating_point:
                    raise ValueError(f"{name} of its optimizer does not fit the network")


def checkpoint_name(epoch: int) -> str:
    """Return the file name of the checkpoint after `epoch` epochs."""
    return f"model_epoch_{epoch:04d}.pt"


def find_checkpoint(path_or_run: str | Path, out_dir: str | Path = "runs") -> Path:
    """Return the checkpoint file of that path, or the newest one in a run folder or in the run of that name in `out_dir`."""
    path = Path(path_or_run)
    if os.path.isfile(path):
        return path
    return newest_in_run(path, out_dir, "checkpoint", ".pt")


def _read(path: Path) -> dict[str, Any]:
    raw = read_bytes(path, "checkpoint", CheckpointError)
    if not is_sealed(raw):
        if raw[:2] != b"PK":
            raise CheckpointError(f"{path_shown(path)} is not a checkpoint: it is no archive, as torch writes them.")
        raise CheckpointError(
            f"{path_shown(path)} is damaged, or was not written by this version of aitimestepper: its contents do not fit the "
            "checksum at its end; get it again."
        )
    try:
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception:  # whatever the parser raises; pickled objects are among it
        raise CheckpointError(
            f"{path_shown(path)} holds objects that are not plain data; it was refused, and nothing in it was run."
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path_shown(path)} was not written by aitimestepper: it does not say {FORMAT!r}.")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path_shown(path)} has format version {str(content.get('version'))[:20]}, this program reads {VERSION}: train "
            "anew, or use the release that wrote it."
        )
    _check_entries(content, path)
    return content


def _check_entries(content: dict[str, Any], path: Path) -> None:
    """Raise an error unless all entries are there, in their types, with as many numbers stored as they state."""
    for name, kinds in ENTRIES.items():
        if name not in content or not isinstance(content[name], kinds) or isinstance(content[name], bool):
            raise CheckpointError(f"{path_shown(path)} is damaged: its {name} is {type(content.get(name)).__name__}.")
        if not _is_whole(content[name]):
            raise CheckpointError(f"{path_shown(path)} is damaged: its {name} states more numbers than are stored.")
    if content["epoch"] < 0 or not all(isinstance(x, Tensor) for x in content["model_state"].values()):
        raise CheckpointError(f"{path_shown(path)} is damaged: its epoch or its weights are none.")


def _is_whole(x: Any, depth: int = 0) -> bool:
    """Return whether all tensors in a nested value are dense and stored in full: a view can state any size."""
    if isinstance(x, Tensor):
        return x.layout == torch.strided and x.numel() * x.element_size() <= x.untyped_storage().nbytes()
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return depth < DEEPEST and all(_is_whole(part, depth + 1) for part in parts)


def _fit(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights of {where} do not fit the model: {detail}") from None


def _particle_dict(p: ParticleTorch | None) -> dict[str, Any] | None:
    """Return a state as tensors, with its G; its external field is in the configuration."""
    return None if p is None else {**{name: x.detach().contiguous() for name, x in p.tensors().items()}, "G": p.G}


def _particle(values: dict[str, Any] | None, outer: ExternalField | None) -> ParticleTorch | None:
    if values is None:
        return None
    return ParticleTorch.from_tensors(**values, external_field=outer, dtype=values["position"].dtype)
