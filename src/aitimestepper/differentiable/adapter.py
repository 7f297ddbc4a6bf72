"""The adapter between states and networks: features from states, and dt from the output of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..constants import MIN_DT
from ..criteria.base import Numbers
from ..criteria.classical import EnergyBudget
from ..criteria.learned import factor_asked
from ..errors import ConfigError, shown
from ..features import Scales, feature_count, slot_table
from ..integrators import SPLITTINGS
from ..models import Model
from .conserved import conserved_energy
from .features import describe, invariant_features, measure_scales, requested_features, scale_row
from .history import HistoryBuffer
from .network import FullyConnectedNN
from .particle import ParticleTorch
from .timescales import PairSums, budget_time, limited, longest_step, moving_pairs, pair_sums, smooth_minimum_time

DEVICES = ("cpu", "cuda", "mps")


class Observation(NamedTuple):
    """Input of the choice of a step. It depends on state and history only, so that it can be stored with a sample."""

    features: Tensor  # (B, F) scaled, with the history window
    ceiling: Tensor  # (B,) largest dt allowed
    unit: Tensor  # (B,) the time that the network's dt is a multiple of

    def select(self, index: Tensor) -> Observation:
        """Return the observations of the systems that `index` names."""
        return Observation(*(x[index] for x in self))


class Prediction(NamedTuple):
    """Output of a network, as a step."""

    dt: Tensor  # (B,) in the graph
    log10_error: Tensor  # (B,) its own estimate of the step's relative energy error
    at_ceiling: Tensor  # (B,) bool: the network's dt was above the ceiling
    out_of_range: Tensor  # (B,) bool: some input lies outside the range of the training


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode for a while: with dropout the same state would give different steps."""
    if not any(module.training for module in model.modules()):  # already inside such a block: saves 40 us of a step's 3 ms
        yield
        return
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class ModelAdapter:
    """Converts states to features, and the network's output to dt, in training and in simulation alike.

    `scales`: the normalization, measured once by `measure_scales` unless given. `calibration`: pairs (tolerance, factor)
    measured on real runs; a network is asked for `factor` times the tolerance wanted, so that its runs are within that one.
    `sensitive_calibration`: the same for sensitive systems, where it differs.
    `tol`: the tolerance, a number or (B,), in the invariant features where none is passed; by default `energy_threshold`.
    `generator`: the random stream of a training. `history_buffer`: the adapter's own window, used where none is passed.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> tuple(adapter.build_feature_tensor(particle).shape)  # (B, F)
        (1, 11)
        >>> bool(adapter.predict_dt(model, particle) > 0)  # (B,)
        True
    """

    def __init__(
        self,
        config: Config,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        scales: Scales | None = None,
        calibration: Sequence[tuple[float, float]] = (),
        sensitive_calibration: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.config = config
        self.dtype = dtype if dtype is not None else torch_dtype(config.dtype)
        self.device = resolve_device(config.device if device is None else device, self.dtype)
        self.scales, self.calibration = scales, calibration
        self.sensitive_calibration = sensitive_calibration or calibration
        self.tol: Numbers | Tensor = config.energy_threshold
        self.generator = torch.Generator()
        if config.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(config.seed)
        self.history_buffer = self.new_history()

    @classmethod
    def of_model(cls, model: Model) -> ModelAdapter:
        """Return the adapter that a trained network is to be used with, on the CPU."""
        return cls(
            model.config,
            "cpu",
            scales=model.scales,
            calibration=model.calibration,
            sensitive_calibration=model.sensitive_calibration,
        )

    @property
    def history_enabled(self) -> bool:
        """Whether the features include past states."""
        return self.config.history_len > 0

    @property
    def sees_tolerance(self) -> bool:
        """Whether the tolerance is an input of the network, whose dt is then in units of the step that it allows."""
        return self.config.feature_type == "invariant"

    @property
    def order(self) -> int:
        """The order of the integrator that the network chooses steps for."""
        return SPLITTINGS[self.config.integrator].order

    def new_history(self) -> HistoryBuffer | None:
        """Return an empty window, or None if the features need none."""
        return HistoryBuffer(self.config.history_len, self.config.feature_type) if self.history_enabled else None

    def update_history(self, history_buffer: HistoryBuffer | None, particle: ParticleTorch, dt: Tensor | None = None) -> None:
        """Push `particle` and the dt (B,) taken from it to the history, if there is one."""
        history = self.history_buffer if history_buffer is None else history_buffer
        if history is not None and self.history_enabled:
            history.push(particle, dt)

    def measure_scales(self, particle: ParticleTorch) -> None:
        """Measure the normalization on the training set, once; later calls change nothing."""
        if self.config.normalize and self.scales is None:
            self.scales = measure_scales(particle)

    def input_dim_from_state(self, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> int:
        """Return the length of the feature vector of such a state."""
        return feature_count(self.config.feature_type, self.config.history_len)

    # ---- from states to features ------------------------------------------------------------------------------------
    def build_feature_tensor(self, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """Return the scaled features (B, F); without a `history_buffer` the adapter's own window is used."""
        history = self.history_buffer if history_buffer is None else history_buffer
        if self.history_enabled and history is not None:
            return history.features_for(particle, self.scales)
        if self.sees_tolerance:  # without units: there is nothing to scale
            return self._observe_invariants(particle).features
        features = describe(particle, "rich" if self.config.feature_type == "rich" else "basic")
        if self.scales is None:
            return features
        return features / scale_row(self.scales, slot_table(self.config.feature_type, 0), features)

    def calibrated_tolerance(self, tol: Tensor, sensitive: Tensor | None = None, long: Tensor | None = None) -> Tensor:
        """Return the tolerance (B,) that the network is asked for where `tol` (B,) is wanted: linear between logarithms.

        `sensitive`, `long` (B,): which systems are sensitive, and which have hundreds of orbits; None: none does.
        """
        kinds = (False if kind is None else kind.cpu().numpy() for kind in (sensitive, long))
        factor = factor_asked((self.calibration, self.sensitive_calibration), tol.cpu().numpy(), *kinds)
        return tol * torch.as_tensor(factor).to(tol)

    def tolerance_of(self, particle: ParticleTorch, wanted: Numbers | Tensor | None = None) -> Tensor:
        """Return the tolerance of every system, (B,), from one number or one for each."""
        tol = torch.as_tensor(self.tol if wanted is None else wanted, dtype=torch.float64).to(particle.time)
        if tol.ndim > 1 or tol.numel() not in (1, len(particle)):
            raise ConfigError(f"{tol.numel()} tolerances do not fit {len(particle)} systems; give one, or one for each.")
        return tol.expand(len(particle))

    def observe(
        self,
        particle: ParticleTorch,
        history_buffer: HistoryBuffer | None = None,
        energy: Tensor | None = None,
        tol: Tensor | None = None,
        scale: Tensor | None = None,
        sensitive: Tensor | None = None,
        long: Tensor | None = None,
    ) -> Observation:
        """Return the input of the network for every system, without a graph.

        `energy`, `scale` (B,): the conserved energy and S at the start of the run, if there is one. `tol` (B,): the tolerance
        wanted. `sensitive`, `long` (B,): which systems are sensitive, and which have hundreds of orbits; both are asked for
        less.
        """
        with torch.no_grad():
            if self.sees_tolerance:
                return self._observe_invariants(particle, energy, tol, scale, sensitive, long)
            features = self.build_feature_tensor(particle, history_buffer)
            pair = moving_pairs(particle)
            ceiling = self.config.dt_ceiling * smooth_minimum_time(pair.freefall_rate2 + pair.flyby_rate2)
            return Observation(features, ceiling, torch.full_like(ceiling, 1.0 if self.scales is None else self.scales.T0))

    def _observe_invariants(
        self,
        particle: ParticleTorch,
        energy: Tensor | None = None,
        wanted: Tensor | None = None,
        scale: Tensor | None = None,
        sensitive: Tensor | None = None,
        long: Tensor | None = None,
    ) -> Observation:
        tol = self.calibrated_tolerance(self.tolerance_of(particle) if wanted is None else wanted, sensitive, long)
        sums, fraction = pair_sums(particle, scale), torch.zeros_like(tol)
        if energy is not None:
            fraction = (conserved_energy(particle) - energy) / (sums.energy_scale * tol)
        return self.observe_sums(sums, invariant_features(sums), tol, fraction)

    def observe_sums(self, sums: PairSums, features: Tensor, tol: Tensor, error_fraction: Tensor) -> Observation:
        """Return the observation of states whose sums over pairs and features (B, 7) are known.

        `tol` and `error_fraction`, the energy error over `tol` with its sign, are (B,). The unit is the step of `EnergyBudget`:
        a network with the constant output 1 is that criterion, apart from the share of the dynamical time in its ceiling.
        """
        budget = EnergyBudget(integrator=self.config.integrator)
        unit = budget_time(sums.tau_4, sums.chi, tol, budget.order, budget.constant)
        ceiling = longest_step(sums, self.config.dt_ceiling)
        requested = requested_features(error_fraction, tol)
        return Observation(torch.cat([features, requested], dim=-1), ceiling, unit)

    # ---- from outputs to steps --------------------------------------------------------------------------------------
    def predict(self, model: nn.Module, observation: Observation) -> Prediction:
        """Return the network's step, in the graph of its parameters.

        dt above the ceiling is scaled down to it by a constant factor: its gradient does not vanish (a factor in the output
        is the same factor in dt), as it would with a clamp. The ceiling is needed because the energy error of one leapfrog
        step vanishes on a circular orbit whatever dt is, so that the error band alone asks for ever larger steps there. For
        invariant features dt approaches the ceiling smoothly, since a kink would spoil time-symmetric steps.
        """
        parameter = next(model.parameters(), None)  # the precision of the network may differ from that of the bodies
        features = observation.features if parameter is None else observation.features.to(parameter.dtype)
        output = model(features)
        if output.shape != (len(features), 2):
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
        at_ceiling = wanted > observation.ceiling
        out_of_range = torch.zeros_like(at_ceiling)
        if isinstance(model, FullyConnectedNN):
            out_of_range = model.out_of_range(observation.features)
        return Prediction(dt, output[:, 1], at_ceiling, out_of_range)

    def _allowed(self, wanted: Tensor, ceiling: Tensor) -> Tensor:
        """Return the steps wanted (B,), limited by the ceiling (B,)."""
        if not self.sees_tolerance:
            return torch.minimum(wanted, ceiling)
        return limited(wanted, ceiling)

    def predict_dt(self, model: nn.Module, particle: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """Return the step (B,) for this state, in the graph of the parameters; the same in every mode of the model."""
        with eval_mode(model):
            return self.predict(model, self.observe(particle, history_buffer)).dt


def resolve_device(name: str | torch.device, dtype: torch.dtype = torch.float32) -> torch.device:
    """Return the device of that name, on which numbers of `dtype` can be computed; `auto` is a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in DEVICES:
            raise ConfigError(f"device = {shown(name)} must be one of {', '.join(DEVICES)}, cuda:1, ... or auto.")
        torch.ones(1, device=device, dtype=dtype).sum().item()
    except ConfigError:
        raise
    # torch has as many kinds of errors as reasons: unknown names, drivers, missing devices, types that a device has not
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ConfigError(f"device = {shown(name)} cannot be used here ({reason}); use cpu or auto.") from None
    return device


def torch_dtype(name: str) -> torch.dtype:
    """Return float64 or float32 by its name."""
    return {"float64": torch.float64, "float32": torch.float32}[name]
