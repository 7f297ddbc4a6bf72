"""Scripted step modules and networks for tests, and the steps that any module chooses."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from aitimestepper.differentiable.step_module import StepModule

FEATURE_TYPES = pytest.mark.parametrize(
    ("feature_type", "history_len"),
    [("basic", 0), ("rich", 0), ("delta_mag", 0), ("invariant", 0), ("basic", 2), ("rich", 3), ("delta_mag", 3)],
)


class Script(StepModule):
    """Plays back steps, one row of `table` (steps, systems) after the other; reports how many it chose."""

    def __init__(self, *rows, even=True):
        super().__init__()
        self.table, self.velocity_even = torch.tensor(rows, dtype=torch.float64), even

    def init(self, particle):
        return torch.zeros(len(particle), dtype=torch.long), torch.arange(len(particle))

    def choose(self, particle, memory):
        turn, column = memory
        return self.table[turn.clamp_max(len(self.table) - 1), column].to(particle.time), (turn + 1, column)

    def report(self, memory):
        return {"chosen": memory[0]}


class Function(StepModule):
    """The step that `function` computes from a state."""

    def __init__(self, function, even=True):
        super().__init__()
        self.function, self.velocity_even = function, even

    def choose(self, particle, memory):
        return self.function(particle), memory


class Begun(StepModule):
    """A step module in a run that began elsewhere: the memory is that of another state, or of a run so far."""

    def __init__(self, module, memory):
        super().__init__()
        self.module, self.memory = module, memory
        self.trial_steps, self.made_for = module.trial_steps, module.made_for

    def init(self, particle):
        return self.memory

    def choose(self, particle, memory):
        return self.module.choose(particle, memory)


def played(module, p, n):
    """Return the steps (n, B) that a module chooses one after the other at one state, each taken as chosen."""
    memory, steps = module.init(p), []
    for _ in range(n):
        dt, memory = module.choose(p, memory)
        steps.append(dt)
        p = dataclasses.replace(p, dt=dt)
    return torch.stack(steps)


def dt_of(module, p):
    """Return the first step (B,) that a module chooses."""
    return module.choose(p, module.init(p))[0]


class ConstantNetwork(nn.Module):
    """A network with the same output for every input: dt = exp(log_dt), error estimate -4."""

    def __init__(self, dt=0.01):
        super().__init__()
        self.log_dt = nn.Parameter(torch.tensor(math.log(dt), dtype=torch.float64))

    def forward(self, x):
        dt = torch.exp(self.log_dt).expand(len(x))
        return torch.stack([dt, torch.full_like(dt, -4.0)], -1)


class Counting(nn.Module):
    """A network that counts its evaluations: dt = 0.01 (x + 1), expected error 10^x, x its third input."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.stack([0.01 * (x[:, 2] + 1), x[:, 2]], -1)
