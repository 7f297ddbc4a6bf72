"""Between states and networks: what a network is shown, and what its answer means as a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Config
from ..criteria.classical import BUDGET_CONSTANTS
from ..errors import ConfigError
from ..integrators import COMPOSITIONS
from .conserved import conserved_energy
from .features import Scales, asked_features, describe, feature_count, invariant_features, slot_table
from .history import HistoryBuffer
from .network import FullyConnectedNN
from .particle import ParticleTorch
from .timescales import PairSums, budget_time, pair_rates, pair_sums, smooth_minimum_time

MIN_DT = 1e-12  # added to every dt a network gives, the same everywhere
# How far ln tau_4 may change in a step that is chosen from invariant features: less than the ln 2 = 0.69 from which on a
# symmetrized step begins anew (`LearnedStep.mirror`), and is not symmetric
MOST_CHANGE = 0.6
FREE = 1e10  # the unit of invariant features has no limit of its own but this one: the ceiling has


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
    outside: Tensor  # (B,) bool: some input lies outside what the network was trained on


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside: dropout must not make the same state give different steps."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def out_of_range(model: nn.Module, features: Tensor) -> Tensor:
    """(B,) bool: whether some feature (B, F) lies outside the range that the network keeps its inputs to, if it has one."""
    if not isinstance(model, FullyConnectedNN):
        return torch.zeros(len(features), dtype=torch.bool, device=features.device)
    looked_at = model.lowest < model.highest
    return (looked_at & ((features < model.lowest) | (features > model.highest))).any(-1)


class ModelAdapter:
    """Turns states into features, and the network's output into dt; the same code in training and in simulation.

    Holds the normalization (`scales`, measured once by `measure_scales`), the random stream of the run (`generator`), and the
    tolerance `tol` (a number or (B,)) that `invariant` features are told: `energy_threshold`, unless another one is set.
    `calibration`: pairs (tolerance, factor), where it was measured how far runs of the network are off what they are asked
    for: it is told so many times the tolerance instead.
    """

    def __init__(self, config: Config, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        self.config = config
        self.device = torch.device(device) if device is not None else resolve_device(config.device)
        self.dtype = dtype if dtype is not None else torch_dtype(config.dtype)
        self.scales: Scales | None = None
        self.tol: float | Tensor = config.energy_threshold
        self.calibration: Sequence[tuple[float, float]] = ()
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

    def calibrated_tolerance(self, tol: Tensor) -> Tensor:
        """(B,) what a network is told that is asked for `tol` (B,): the calibration, linear between logarithms."""
        if not self.calibration:
            return tol
        at, factor = zip(*sorted(self.calibration), strict=True)
        corrections = np.interp(torch.log(tol).cpu().numpy(), np.log(at), np.log(factor))
        return tol * torch.exp(torch.as_tensor(corrections).to(tol))

    def tolerance_of(self, particle: ParticleTorch, asked: float | Tensor | None = None) -> Tensor:
        """(B,) what every system is asked for."""
        tol = torch.as_tensor(self.tol if asked is None else asked, dtype=torch.float64).to(particle.time)
        if tol.ndim > 1 or tol.numel() not in (1, len(particle)):
            raise ConfigError(f"{tol.numel()} tolerances do not fit {len(particle)} systems; give one, or one for each.")
        return tol.expand(len(particle))

    def observe(
        self,
        particle: ParticleTorch,
        history_buffer: HistoryBuffer | None = None,
        energy: Tensor | None = None,
        tol: Tensor | None = None,
    ) -> Observation:
        """What the network will decide from; no graph behind it.

        `energy`, `tol` (B,): at the start of the run, if there is one, and what is asked of it.
        """
        with torch.no_grad():
            if self.sees_tolerance:
                return self._observe_invariants(particle, energy, tol)
            features = self.build_feature_tensor(particle, history_buffer)
            freefall_rate2, flyby_rate2, _ = pair_rates(particle)
            ceiling = self.config.dt_ceiling * smooth_minimum_time(freefall_rate2 + flyby_rate2)
            return Observation(features, ceiling, torch.full_like(ceiling, 1.0 if self.scales is None else self.scales.T0))

    def _observe_invariants(
        self, particle: ParticleTorch, energy: Tensor | None = None, asked: Tensor | None = None
    ) -> Observation:
        sums, tol = pair_sums(particle), self.calibrated_tolerance(self.tolerance_of(particle) if asked is None else asked)
        spent = torch.zeros_like(tol) if energy is None else (conserved_energy(particle) - energy) / (sums.energy * tol)
        return self.observe_sums(sums, invariant_features(sums), tol, spent)

    def observe_sums(self, sums: PairSums, features: Tensor, tol: Tensor, spent: Tensor) -> Observation:
        """From the sums over pairs and their (B, 8) features, the tolerance, and the energy error over it, each (B,).

        The unit is the step of `EnergyBudget`: a network that always says 1 is that criterion. The ceiling also bounds the
        change of tau_4 in a step: one much longer than the time in which it should change cannot be time-symmetric.
        """
        order = COMPOSITIONS[self.config.integrator].order
        unit = budget_time(sums.tau_4, sums.chi, tol, order, BUDGET_CONSTANTS[order], FREE)
        rate, change = 1.0 / (self.config.dt_ceiling * sums.shortest), sums.growth / MOST_CHANGE
        ceiling = 1.0 / torch.sqrt(rate * rate + change * change)
        return Observation(torch.cat([features, asked_features(spent, tol, order)], dim=-1), ceiling, unit)

    def predict(self, model: nn.Module, observation: Observation) -> Prediction:
        """The network's step, in the graph of its parameters.

        dt above the ceiling is scaled down to it by a constant factor: its gradient stays alive (a factor in the output
        is the same factor in dt), where a clamp would cut it off. Why a ceiling at all: the energy error of one leapfrog
        step vanishes on a circular orbit whatever dt is, so the error band alone asks for ever larger steps there. For
        invariant features the way to it has no kink, which a time-symmetric step would feel.
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
        allowed = self._allowed(wanted, observation.ceiling)
        dt = torch.where(allowed < wanted, dt * (allowed / wanted), dt)
        return Prediction(dt, output[:, 1], wanted > observation.ceiling, out_of_range(model, features))

    def _allowed(self, wanted: Tensor, ceiling: Tensor) -> Tensor:
        """(B,) what the ceiling leaves of a step."""
        if not self.sees_tolerance:
            return torch.minimum(wanted, ceiling)
        share = wanted / ceiling
        return wanted / torch.sqrt(1.0 + share * share)

    def predict_dt(self, model: nn.Module, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """(B,) the step for this state, in the graph of the parameters; the same each time, whatever mode the model is in."""
        with eval_mode(model):
            return self.predict(model, self.observe(particle, history_buffer)).dt


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
