"""The learned step: the adapter between states and networks, and the criterion that drives a simulation with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..errors import ConfigError
from ..features import Scales, describe, feature_count, invariant_features, slot_table
from ..history import HistoryBuffer
from ..integrators import COMPOSITIONS
from ..io.checkpoints import Checkpoint, find_checkpoint, load_checkpoint
from ..physics.particle import ParticleTorch
from ..physics.timescales import budget_time, pair_rates, pair_sums, smooth_minimum_time
from .base import AbstractStepCriterion, Lowered

MIN_DT = 1e-12  # added to every dt a network gives, the same everywhere


class Observation(NamedTuple):
    """What a step is chosen from. It depends on state and history only, so a stored sample keeps it as it was."""

    features: Tensor  # (B, F) scaled, with the history window
    ceiling: Tensor  # (B,) largest dt allowed
    unit: Tensor  # (B,) the time that the network's dt is a multiple of

    def select(self, index: Tensor) -> Observation:
        """The systems that `index` names."""
        return Observation(*(x[index] for x in self))


class Prediction(NamedTuple):
    """What the network said."""

    dt: Tensor  # (B,) in the graph
    log10_error: Tensor  # (B,) its own estimate of the step's relative energy error
    at_ceiling: Tensor  # (B,) bool: the network wanted more than the ceiling


@contextmanager
def judging(model: nn.Module) -> Iterator[None]:
    """Eval mode inside: dropout must not make the same state give different steps."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class ModelAdapter:
    """Turns states into features, and the network's output into dt; the same code in training and in simulation.

    Holds the normalization (`scales`, measured once by `measure_scales`), the random stream of the run (`generator`), and the
    tolerance `tol` (a number or (B,)) that `invariant` features are told: `energy_threshold`, unless another one is set.
    """

    def __init__(self, config: Config, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        self.config = config
        self.device = torch.device(device) if device is not None else resolve_device(config.device)
        self.dtype = dtype if dtype is not None else torch_dtype(config.dtype)
        self.scales: Scales | None = None
        self.tol: float | Tensor = config.energy_threshold
        self.generator = torch.Generator()
        if config.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(config.seed)

    @property
    def history_enabled(self) -> bool:
        """Whether the features include past states."""
        return self.config.history_len > 0

    @property
    def sees_tolerance(self) -> bool:
        """Whether the network is told the tolerance, and answers in units of the step that it allows."""
        return self.config.feature_type == "invariant"

    def new_history(self) -> HistoryBuffer | None:
        """An empty window, or None if the features need none."""
        return HistoryBuffer(self.config.history_len, self.config.feature_type) if self.history_enabled else None

    def update_history(self, history_buffer: HistoryBuffer | None, particle: ParticleTorch, dt: Tensor | None = None) -> None:
        """Push `particle`, and the dt taken from it, if there is a history."""
        if history_buffer is not None and self.history_enabled:
            history_buffer.push(particle, dt)

    def measure_scales(self, particle: ParticleTorch) -> None:
        """Fix the normalization from the training set, once; later calls change nothing."""
        if self.config.normalize and self.scales is None:
            self.scales = Scales.measure(particle)

    def input_dim_from_state(self, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> int:
        """Length of the feature vector of such a state."""
        return feature_count(self.config.feature_type, self.config.history_len)

    def build_feature_tensor(self, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """(B, F) scaled features; an absent history counts as one that is still empty."""
        if self.history_enabled:
            history = self.new_history() if history_buffer is None else history_buffer
            assert history is not None
            return history.features_for(particle, self.scales)
        if self.sees_tolerance:  # without units: there is nothing to scale
            return self._observe_invariants(particle).features
        features = describe(particle, "rich" if self.config.feature_type == "rich" else "basic")
        return features if self.scales is None else features / self.scales.of(slot_table(self.config.feature_type, 0), features)

    def _tolerance(self, particle: ParticleTorch) -> Tensor:
        """(B,) that of every system."""
        tol = torch.as_tensor(self.tol, dtype=torch.float64).to(particle.time)
        if tol.ndim > 1 or tol.numel() not in (1, len(particle)):
            raise ConfigError(f"{tol.numel()} tolerances do not fit {len(particle)} systems; give one, or one for each.")
        return tol.expand(len(particle))

    def observe(self, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Observation:
        """What the network will decide from; no graph behind it."""
        with torch.no_grad():
            if self.sees_tolerance:
                return self._observe_invariants(particle)
            features = self.build_feature_tensor(particle, history_buffer)
            fall, fly, _ = pair_rates(particle)
            ceiling = self.config.dt_ceiling * smooth_minimum_time(fall + fly)
            return Observation(features, ceiling, torch.full_like(ceiling, 1.0 if self.scales is None else self.scales.T0))

    def _observe_invariants(self, particle: ParticleTorch) -> Observation:
        """The unit is the step of `EnergyBudget` with c = 1: a network that always says c is that criterion."""
        sums, tol = pair_sums(particle), self._tolerance(particle)
        unit = budget_time(sums.tau_4, sums.chi, tol, COMPOSITIONS[self.config.integrator].order)
        features = torch.cat([invariant_features(sums), torch.log(tol).unsqueeze(-1)], dim=-1)
        return Observation(features, self.config.dt_ceiling * sums.shortest, unit)

    def predict(self, model: nn.Module, observation: Observation) -> Prediction:
        """The network's step, in the graph of its parameters.

        dt above the ceiling is scaled down to it by a constant factor: its gradient stays alive (a factor in the output
        is the same factor in dt), where a clamp would cut it off. Why a ceiling at all: the energy error of one leapfrog
        step vanishes on a circular orbit whatever dt is, so the error band alone asks for ever larger steps there.
        """
        parameter = next(model.parameters(), None)  # any network will do, also one of another precision than the bodies
        features = observation.features
        output = model(features if parameter is None else features.to(parameter.dtype))
        if output.shape != (len(observation.features), 2):
            raise ConfigError(f"the model returned shape {tuple(output.shape)}; it must map features (B, F) to (B, 2).")
        dt = (output[:, 0] + MIN_DT) * observation.unit
        wanted = dt.detach()
        if not bool((torch.isfinite(wanted) & (wanted > 0)).all()):
            bad = wanted[~(torch.isfinite(wanted) & (wanted > 0))][0].item()
            raise ConfigError(
                f"the model returned dt = {bad}; column 0 of its output must be a positive finite number: "
                "lower lr, or end it with softplus or exp."
            )
        at_ceiling = wanted > observation.ceiling
        dt = torch.where(at_ceiling, dt * (observation.ceiling / wanted), dt)
        return Prediction(dt, output[:, 1], at_ceiling)

    def predict_dt(self, model: nn.Module, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """(B,) the step for this state, in the graph of the parameters; the same each time, whatever mode the model is in."""
        with judging(model):
            return self.predict(model, self.observe(particle, history_buffer)).dt


@dataclass
class LearnedMemory:
    """What a learned step carries along a run; all (B,) but the window."""

    history: HistoryBuffer | None
    expected: Tensor  # log10 of the energy error that the network expects of the step it just chose
    worst: Tensor  # the largest of those so far
    at_ceiling: Tensor  # 1 where the ceiling cut the step just chosen
    capped: Tensor  # how many it cut so far

    def select(self, index: Tensor) -> LearnedMemory:
        """That of the systems which `index` names."""
        history = None if self.history is None else self.history.select(index)
        return LearnedMemory(history, self.expected[index], self.worst[index], self.at_ceiling[index], self.capped[index])


class LearnedStep(AbstractStepCriterion):
    """A trained network as a step criterion, with the features, scales, integrator and precision it was trained with."""

    name = "learned"

    def __init__(self, model: nn.Module, adapter: ModelAdapter, tol: float | None = None) -> None:
        if tol is not None and not 0 < tol < float("inf"):
            raise ConfigError(f"tol = {tol} must be a positive number.")
        self.model, self.adapter = model, adapter
        self.integrator = adapter.config.integrator
        self.even = not adapter.history_enabled
        self.tol: float | Tensor = adapter.tol
        self.factor: float | Tensor = 1.0
        if tol is not None:
            self._ask_for(tol)

    def _ask_for(self, tol: float | Tensor) -> None:
        self.tol, self.factor = tol, self.factor_for(tol)
        if self.adapter.sees_tolerance:  # a copy: others may hold the adapter too
            self.adapter = copy.copy(self.adapter)
            self.adapter.tol = tol

    def at_tolerance(self, tol: float | Tensor) -> LearnedStep:
        """The same step with another tolerance, a number or (B,)."""
        changed = copy.copy(self)
        changed._ask_for(tol)
        return changed

    @property
    def exponent(self) -> float:
        """By which power of `tol` dt changes: one step of an order-p method errs like dt^(p+1), the unit is that of a run."""
        return 1.0 / (COMPOSITIONS[self.integrator].order + (0 if self.adapter.sees_tolerance else 1))

    def factor_for(self, tol: Any) -> Any:
        """What dt is multiplied by for `tol` (a number or (B,)): 1 if the network is told the tolerance."""
        return 1.0 if self.adapter.sees_tolerance else (tol / self.adapter.config.energy_threshold) ** self.exponent

    @classmethod
    def load(
        cls, checkpoint_or_name: str | Path, tol: float | None = None, device: torch.device | str | None = None
    ) -> LearnedStep:
        """From a checkpoint file, a run folder, or the name of a run; nothing else needs to be said.

        `tol` is the relative energy error wanted of one step; without it, that of the training.
        """
        return cls.from_checkpoint(load_checkpoint(find_checkpoint(checkpoint_or_name)), tol, device)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, tol: float | None = None, device: torch.device | str | None = None
    ) -> LearnedStep:
        """From a checkpoint already read."""
        adapter = ModelAdapter(checkpoint.config, device=None if device is None else resolve_device(str(device)))
        adapter.scales = checkpoint.scales
        return cls(checkpoint.build_model(adapter.device), adapter, tol)

    def init(self, particle: ParticleTorch) -> LearnedMemory:
        """An empty history window, if the network looks at one; nothing expected yet."""
        unknown = torch.full_like(particle.time, -torch.inf)
        return LearnedMemory(self.adapter.new_history(), unknown, unknown, torch.zeros_like(unknown), torch.zeros_like(unknown))

    def predict(self, particle: ParticleTorch, history: HistoryBuffer | None) -> Prediction:
        """The dt, and the network's own estimate of the energy error of that step."""
        with torch.no_grad(), judging(self.model):
            observation = self.adapter.observe(particle, history)
            said = self.adapter.predict(self.model, observation)
        # not `said.dt` there: dt times ceiling over dt can be a rounding less than the ceiling
        wanted = torch.where(said.at_ceiling, observation.ceiling, said.dt) * self.factor
        return Prediction(torch.minimum(wanted, observation.ceiling), said.log10_error, wanted >= observation.ceiling)

    def step_size(self, particle: ParticleTorch, memory: LearnedMemory | None) -> Tensor:
        """(B,). What the network expects of the step is noted in the memory."""
        said = self.predict(particle, None if memory is None else memory.history)
        if memory is not None:
            memory.expected, memory.at_ceiling = said.log10_error, said.at_ceiling.to(said.dt)
        return said.dt

    def update(self, particle: ParticleTorch, dt: Tensor, memory: LearnedMemory) -> LearnedMemory:
        """Push the state into the window, and count."""
        history = None if memory.history is None else memory.history.clone()
        self.adapter.update_history(history, particle, dt)
        worst = torch.maximum(memory.worst, memory.expected)
        return LearnedMemory(history, memory.expected, worst, memory.at_ceiling, memory.capped + memory.at_ceiling)

    def report(self, memory: LearnedMemory) -> dict[str, Tensor]:
        """The largest relative energy error of a step that the network expected, and how many steps the ceiling cut short.

        An expectation far above `energy_threshold` says that the run went where the network had no experience.
        """
        return {"expected_step_error": 10.0**memory.worst, "steps_at_ceiling": memory.capped.long()}

    def lower(self) -> Lowered:
        """The factor for the tolerance; weights and scales travel with the model."""
        return Lowered(
            self.name, (float(torch.as_tensor(self.factor, dtype=torch.float64).reshape(-1)[0]), self.adapter.config.dt_ceiling)
        )


def resolve_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device = {name!r} cannot be used here ({reason}); use cpu or auto.") from None
    return device


def torch_dtype(name: str) -> torch.dtype:
    """float64 or float32."""
    return {"float64": torch.float64, "float32": torch.float32}[name]
