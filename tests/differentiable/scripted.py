"""Step modules that tests write down themselves, and the steps that any module chooses."""

from __future__ import annotations

import dataclasses

import torch

from aitimestepper.differentiable.step_module import StepModule


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
    """The step that `function` makes of a state."""

    def __init__(self, function, even=True):
        super().__init__()
        self.function, self.velocity_even = function, even

    def choose(self, particle, memory):
        return self.function(particle), memory


def played(module, p, n):
    """The steps (n, B) that a module chooses when each is taken as chosen; the state stands still."""
    memory, steps = module.init(p), []
    for _ in range(n):
        dt, memory = module.choose(p, memory)
        steps.append(dt)
        p = dataclasses.replace(p, dt=dt)
    return torch.stack(steps)


def dt_of(module, p):
    """The first step (B,) that a module chooses."""
    return module.choose(p, module.init(p))[0]


class Counting(torch.nn.Module):
    """A network that counts how often it is asked: dt = 0.01 (x + 1), expected error 10^x, x its third input."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.stack([0.01 * (x[:, 2] + 1), x[:, 2]], -1)
