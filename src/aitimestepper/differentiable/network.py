"""The network (B, F) -> (B, 2): from features to a positive dt and an estimate of the step's log10 relative energy error."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..bodies import Bodies
from ..config import Config
from ..constants import KNEE, LARGEST, LOG_GAIN, LOG_RANGE
from ..errors import CheckpointError, ConfigError, nearest_name_hint, shown
from ..features import ERROR_FRACTION, Scales, feature_count
from ..models import Model

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
}
BYTES_PER_WEIGHT = 32  # the weight, its gradient and the two moments of AdamW
INITIAL_LOG10_ERROR = -6.0
INITIAL_LOG_DT = math.log(1e-2)  # an untrained network starts near a hundredth of the time unit


class SeededDropout(nn.Module):
    """Dropout with a random stream of its own, whose state is in the state_dict; global random state is never touched."""

    stream: Tensor

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("stream", torch.tensor([seed, 0], dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Return x with a random fraction p of its values set to 0 and the rest scaled up; in eval mode, x itself."""
        if not self.training or self.p == 0:
            return x
        seed, calls = self.stream.tolist()
        self.stream[1] += 1
        generator = torch.Generator().manual_seed((seed * 1_000_003 + calls) % 2**63)
        passed = torch.rand(x.shape, generator=generator, dtype=torch.float64) >= self.p
        return x * passed.to(x) / (1 - self.p)


class FullyConnectedNN(nn.Module):
    """Hidden layers of any width and depth between compressed inputs and two heads.

    Inputs pass asinh first: features span decades (acceleration over an e = 0.99 orbit: 0.25 to 1e4), and tanh units with
    inputs of 1e4 learn nothing. Inputs that are logarithms already, between -20 and 5, are `soft`: x / (1 + |x|/4) is within
    10 % of asinh there and takes hardly any time; without compression the same training ended with 15 % more forces.
    dt = exp(.), so that a gradient step is a factor, whatever the scale of dt. The error estimate reads the last hidden
    layer without a gradient into it: learning to estimate never changes dt. Inputs outside `lowest` ... `highest` (no limits,
    unless set) are clipped, since the output of a network outside the range of its training is arbitrary. An input whose two
    limits are equal is ignored.

    Examples:
        >>> import torch
        >>> from aitimestepper import FullyConnectedNN
        >>> network = FullyConnectedNN(11, layers=(16, 16), seed=0).double()
        >>> output = network(torch.ones(5, 11, dtype=torch.float64))  # dt, and log10 of the error that it expects
        >>> tuple(output.shape), bool((output[:, 0] > 0).all())
        ((5, 2), True)
    """

    frequencies: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(
        self,
        input_dim: int,
        layers: Sequence[int] = (64, 64),
        activation: str = "tanh",
        dropout: float = 0.0,
        fourier_features: int = 0,
        fourier_scale: float = 1.0,
        soft: bool = False,
        seed: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ConfigError(f"activation = {activation!r}: {nearest_name_hint(activation, _ACTIVATIONS)}")
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        self.input_dim, self.soft = input_dim, soft
        frequencies = fourier_scale * torch.randn(input_dim, fourier_features, generator=generator, dtype=torch.float64)
        self.register_buffer("frequencies", frequencies.to(dtype))
        self.register_buffer("lowest", torch.full((input_dim,), -math.inf, dtype=dtype))
        self.register_buffer("highest", torch.full((input_dim,), math.inf, dtype=dtype))
        blocks: list[nn.Module] = []
        width = input_dim + 2 * fourier_features
        for n, out in enumerate(layers):
            blocks += [_linear(width, out, generator, dtype), _ACTIVATIONS[activation]()]
            if dropout > 0:
                blocks.append(SeededDropout(dropout, seed=int(torch.randint(2**31, (1,), generator=generator)) + n))
            width = out
        self.hidden = nn.Sequential(*blocks)
        self.log_dt = _linear(width, 1, generator, dtype)
        self.log_error = _linear(width, 1, generator, dtype)
        with torch.no_grad():
            self.log_dt.weight *= 0.1 / LOG_GAIN  # untrained networks differ by tens of percent in dt, not by decades
            self.log_dt.bias.fill_(INITIAL_LOG_DT / LOG_GAIN)
            self.log_error.bias.fill_(INITIAL_LOG10_ERROR)

    def limit_inputs(self, lowest: Tensor, highest: Tensor) -> None:
        """Set the limits `lowest` ... `highest`, each (F,), to which inputs are clipped, in place."""
        self.lowest.copy_(lowest)
        self.highest.copy_(highest)

    def out_of_range(self, features: Tensor) -> Tensor:
        """Return whether some input that is not ignored lies outside its limits, (B, F) -> (B,) bool."""
        used = self.lowest < self.highest
        return (used & ((features < self.lowest) | (features > self.highest))).any(-1)

    def last_hidden(self, features: Tensor) -> Tensor:
        """Return the last hidden layer (B, width), from which both heads read, for features (B, F)."""
        x = torch.minimum(torch.maximum(features, self.lowest), self.highest)
        x = x / (1.0 + x.abs() / KNEE) if self.soft else torch.asinh(x)
        if self.frequencies.shape[1]:
            phase = x @ self.frequencies
            x = torch.cat([x, torch.sin(phase), torch.cos(phase)], dim=-1)
        hidden: Tensor = self.hidden(x)
        return hidden

    def forward(self, features: Tensor) -> Tensor:
        """Return dt > 0 and log10 of the relative energy error expected, (B, 2), for features (B, F)."""
        h = self.last_hidden(features)
        wanted = (LOG_GAIN * self.log_dt(h)).clamp(-LARGEST, LARGEST)  # its square is finite in float32 too
        log_dt = wanted / torch.sqrt(1.0 + (wanted / LOG_RANGE) ** 2)
        return torch.cat([torch.exp(log_dt), self.log_error(h.detach())], dim=-1)


def _linear(inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Linear:
    """Return a linear layer initialized from `generator` alone (nn.Linear itself would draw from the global state)."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=dtype)
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1) * bound)
    return layer


# ---- from settings and files, and back --------------------------------------------------------------------------------------
def build_network(config: Config) -> FullyConnectedNN:
    """Return the untrained network that `config` describes."""
    _refuse_beyond_memory(config)
    network = FullyConnectedNN(
        feature_count(config.feature_type, config.history_len),
        layers=config.layers,
        activation=config.activation,
        dropout=config.dropout,
        fourier_features=config.fourier_features,
        fourier_scale=config.fourier_scale,
        soft=config.feature_type == "invariant",
        seed=config.seed,
        dtype=torch.float64 if config.dtype == "float64" else torch.float32,
    )
    if config.feature_type == "invariant":  # untrained, it starts from the step of EnergyBudget
        nn.init.zeros_(network.log_dt.bias)
        # The two phases train on single steps, each from a fresh start: only a network trained on runs can learn from the
        # energy error so far.
        network.lowest[ERROR_FRACTION], network.highest[ERROR_FRACTION] = 0.0, 0.0
    if config.judge == "run":  # exactly the step of EnergyBudget, whatever the seed
        nn.init.zeros_(network.log_dt.weight)
        nn.init.zeros_(network.log_error.weight)
    return network


def _refuse_beyond_memory(config: Config) -> None:
    """Raise an error for a network that cannot be trained in the memory of this machine, which says how much it takes."""
    inputs = feature_count(config.feature_type, config.history_len)
    widths = [inputs + 2 * config.fourier_features, *config.layers, 2]
    numbers = inputs * config.fourier_features + sum(a * b + b for a, b in itertools.pairwise(widths))
    needed = BYTES_PER_WEIGHT * numbers
    if needed > memory_size():
        raise ConfigError(
            f"a network of {inputs} inputs with fourier_features = {config.fourier_features} and layers = "
            f"{shown(list(config.layers))} takes {needed / 1e9:,.0f} GB in a training, this machine has "
            f"{memory_size() / 1e9:,.0f} GB: ask for narrower layers, fewer Fourier features or a shorter history."
        )


def memory_size() -> float:
    """Return the bytes of memory that this machine has; infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def network_from(model: Model) -> FullyConnectedNN:
    """Return the network of a model, in the precision that it was trained in."""
    network = build_network(model.config)
    weights = {name: torch.tensor(values) for name, values in model.weights.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights do not fit the network that the configuration describes: {detail}") from None
    return network


def model_from(
    network: FullyConnectedNN,
    config: Config,
    scales: Scales | None = None,
    card: Mapping[str, Any] | None = None,
    initial_conditions: Bodies | None = None,
) -> Model:
    """Return a copy of a network as a value that can be used, written and compared without torch."""
    weights = {name: x.detach().cpu().double().numpy() for name, x in network.state_dict().items()}
    return Model(config, weights, scales, dict(card or {}), initial_conditions)
