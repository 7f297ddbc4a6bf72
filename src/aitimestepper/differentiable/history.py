"""HistoryBuffer: a window of the last K states of every system of a batch, with a validity mask.

A slot holds the unscaled features of a state instead of the state: a window costs K x F numbers a system whatever N, and empty
slots are exact zeros by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from ..features import Scales, slot_table
from .features import describe, scale_row, transition
from .particle import ParticleTorch


class HistoryBuffer:
    """A window of past states: `push` a state with the step taken from it; `features_for` the state that follows.

    `basic` and `rich`: K past descriptions, then the current one, (K+1) F values. `delta_mag`: K transitions, the last one
    from the state pushed last to the current one, 10 K values. Oldest first. Full after K pushes.

    Examples:
        >>> from aitimestepper import HistoryBuffer, ParticleTorch
        >>> p = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> buffer = HistoryBuffer(history_len=3, feature_type="basic")
        >>> buffer.push(p)
        >>> len(buffer), tuple(buffer.features_for(p).shape)  # (K + 1) * 11 values
        (1, (1, 44))
    """

    def __init__(self, history_len: int, feature_type: str = "basic") -> None:
        if history_len < 1:
            raise ConfigError(f"history_len = {history_len} must be >= 1; without history use no buffer.")
        if feature_type == "invariant":
            raise ConfigError("the invariant features look at no past states; use no buffer for them.")
        self.history_len = history_len
        self.feature_type = feature_type
        self.table = slot_table(feature_type, history_len)
        self.reset()

    def reset(self) -> None:
        """Remove all states."""
        self.slots: Tensor | None = None  # (B, K, F), newest last
        self.valid: Tensor | None = None  # (B, K) bool
        self.pushes: Tensor | None = None  # (B,) states pushed so far
        self.last: ParticleTorch | None = None  # the newest state (delta_mag needs it for the next transition)

    def __len__(self) -> int:
        """Return the number of states held, of the system that holds fewest."""
        return 0 if self.pushes is None else min(int(self.pushes.min()), self.history_len)

    @property
    def full(self) -> bool:
        """Whether no slot is padding any more, in any system."""
        return len(self) == self.history_len

    def push(self, particle: ParticleTorch, dt: Tensor | None = None) -> None:
        """Append a state, without its graph, and the step taken from it (default: the particle's own dt)."""
        state = particle.clone_detached()
        if dt is not None:
            state.update_dt(dt.detach().clone())
        slots, valid, pushes = self._window(state)
        new, known = self._newest(state, pushes)
        new = torch.where(known.unsqueeze(-1), new, 0.0)
        self.slots = torch.cat([slots[:, 1:], new.unsqueeze(1)], dim=1)
        self.valid = torch.cat([valid[:, 1:], known.unsqueeze(1)], dim=1)
        self.pushes = pushes + 1
        self.last = state

    def _newest(self, state: ParticleTorch, pushes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the newest slot, (B, F), and whether the slot is filled, (B,)."""
        if self.feature_type != "delta_mag":
            return describe(state, self.feature_type), torch.ones_like(pushes, dtype=torch.bool)
        if self.last is None:
            return state.position.new_zeros(len(state), len(self.table)), torch.zeros_like(pushes, dtype=torch.bool)
        return transition(self.last, state, self.last.dt), pushes > 0

    def _window(self, like: ParticleTorch) -> tuple[Tensor, Tensor, Tensor]:
        """Return slots, valid and pushes; for an empty window, zeros in the shapes that `like` needs."""
        B = len(like)
        if self.slots is not None and self.valid is not None and self.pushes is not None:
            if self.slots.shape[0] != B:
                raise ConfigError(
                    f"the history holds {self.slots.shape[0]} systems, the state {B}; select the same ones of both."
                )
            return self.slots, self.valid, self.pushes
        slots = like.position.new_zeros(B, self.history_len, len(self.table))
        return slots, slots.new_zeros(slots.shape[:2], dtype=torch.bool), slots.new_zeros(B, dtype=torch.long)

    def features_for(self, current: ParticleTorch, scales: Scales | None = None) -> Tensor:
        """Return the features (B, F) of the window followed by `current`; slots not filled yet are exact zeros."""
        slots, valid, pushes = self._window(current)
        if self.feature_type == "delta_mag":  # the last transition leads to the current state
            slots, valid = slots[:, 1:], valid[:, 1:]
        newest, known = self._newest(current, pushes)
        scale = scale_row(scales or Scales(), self.table, slots)
        features = torch.cat([slots, newest.unsqueeze(1)], dim=1) / scale
        filled = torch.cat([valid, known.unsqueeze(1)], dim=1).unsqueeze(-1)
        return torch.where(filled, features, 0.0).flatten(1)

    def features_for_batch(self, batch: ParticleTorch, scales: Scales | None = None) -> Tensor:
        """Return the features (B, F) of B states that would each follow this one window (of one system)."""
        index = torch.zeros(len(batch), dtype=torch.long, device=batch.position.device)
        return (self.select(index) if self.slots is not None else self).features_for(batch, scales)

    @staticmethod
    def features_for_histories(
        histories: Sequence[HistoryBuffer], batch: ParticleTorch, scales: Scales | None = None
    ) -> Tensor:
        """Return the features (B, F) of every system of `batch`, each with its own window, in one call."""
        return HistoryBuffer.stack(histories, batch).features_for(batch, scales)

    @classmethod
    def stack(cls, histories: Sequence[HistoryBuffer], batch: ParticleTorch) -> HistoryBuffer:
        """Return one buffer of many systems from buffers of one system each; `batch` gives the shape of empty ones."""
        first = histories[0]
        joined = cls(first.history_len, first.feature_type)
        one = torch.arange(len(batch), device=batch.position.device)
        windows = [h._window(batch.select(one[i : i + 1])) for i, h in enumerate(histories)]
        joined.slots, joined.valid, joined.pushes = (torch.cat([w[k] for w in windows]) for k in range(3))
        lasts = [h.last if h.last is not None else batch.select(one[i : i + 1]) for i, h in enumerate(histories)]
        joined.last = ParticleTorch.stack(lasts)
        return joined

    def clone(self) -> HistoryBuffer:
        """Return an independent copy."""
        copy = HistoryBuffer(self.history_len, self.feature_type)
        copy.slots, copy.valid, copy.pushes = (None if x is None else x.clone() for x in (self.slots, self.valid, self.pushes))
        copy.last = None if self.last is None else self.last.clone_detached()
        return copy

    def select(self, index: Tensor) -> HistoryBuffer:
        """Return the windows of the systems that `index` names."""
        part = HistoryBuffer(self.history_len, self.feature_type)
        part.slots, part.valid, part.pushes = (None if x is None else x[index] for x in (self.slots, self.valid, self.pushes))
        part.last = None if self.last is None else self.last.select(index)
        return part

    def state_dict(self) -> dict[str, Any]:
        """Return tensors by name, for checkpoints."""
        if self.slots is None or self.last is None:
            return {}
        return {"slots": self.slots, "valid": self.valid, "pushes": self.pushes, "last": self.last.tensors()}

    def load_state_dict(self, state: dict[str, Any], like: ParticleTorch) -> None:
        """Restore the result of `state_dict`, with G and the external field of `like`."""
        self.reset()
        if state:
            empty = HistoryBuffer(self.history_len, self.feature_type)._window(like)
            found = (state["slots"], state["valid"], state["pushes"])
            if any(x.shape != y.shape or x.dtype != y.dtype for x, y in zip(found, empty, strict=True)):
                raise ConfigError(f"the history has slots of shape {tuple(found[0].shape)}, not {tuple(empty[0].shape)}.")
            self.slots, self.valid, self.pushes = (x.to(like.position.device) for x in found)
            self.last = ParticleTorch.from_tensors(
                **state["last"],
                G=like.G,
                external_field=like.external_field,
                dtype=like.position.dtype,
                device=like.position.device,
            )
