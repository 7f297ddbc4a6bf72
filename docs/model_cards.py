"""Put tuned models into the package, with a card each.

python docs/model_cards.py RUN [RUN ...]   copy the models of these runs to src/aitimestepper/models, by integrator
python docs/model_cards.py --write         write src/aitimestepper/models/README.md from the models that are there
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aitimestepper.criteria.learned import MODELS
from aitimestepper.files import write_atomically
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.training.checkpoints import Checkpoint, find_checkpoint, load_checkpoint

HEAD = """# The learned steps of the package

One small network for each composition; `simulate(particle, t_end=..., tol=...)` takes the cheapest for the tolerance. They were
made by the commands below, from problems of the split `train`, and looked at on `validation` while they were made; figures on
`test` are in docs/learned.md. The same command and seed give the same bits on the same machine.

Limits: tolerances outside the range of the table (three times beyond it at most) are not theirs: `simulate` takes EnergyBudget
or Gauss-Radau there. States unlike all that they were trained on are taken for the nearest they know; how often that was is in
`steps_outside_training` of a result. They look at the energy error so far, so that what they promise is the energy error, not
the place of a body: see docs/learned.md for both.
"""


def card(integrator: str, checkpoint: Checkpoint) -> str:
    """Of one model."""
    c: dict[str, Any] = checkpoint.card
    first = c["start"] or c  # what made the network, and what calibrated it, if that was something else
    plan = first["plan"]
    hours = c["hours"] + c["start"].get("hours", 0.0)
    parameters = sum(x.numel() for name, x in checkpoint.model_state.items() if name.startswith(("hidden", "log_dt")))
    told = dict(c["calibration"])
    lines = [
        f"## {integrator}",
        "",
        "\n".join(f"`{command}`" for command in dict.fromkeys((first["command"], c["command"]))),
        "",
        f"{parameters} parameters, layers {' '.join(map(str, plan['layers']))}, seed {plan['seed']}, {hours:.2f} hours on "
        f"one core. Trained on {plan['problems']} problems each of {', '.join(plan['families'])}, "
        f"{plan['descent']['iterations']} iterations at {', '.join(f'{tol:g}' for tol in plan['learned'])}; calibrated on "
        f"{plan['calibration']} others of each family.",
        "",
        "| asked for | told | `validation`: kept (worst family) | median error / asked | force evaluations |",
        "|---|---|---|---|---|",
    ]
    for row in c["validation"]:
        lines.append(
            f"| {row['tol']:g} | {told[row['tol']] * row['tol']:.2g} | {row['compliance']:.0%} ({row['worst_compliance']:.0%}) "
            f"| {row['median']:.2g} | {row['forces']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Copy, or write the cards."""
    if sys.argv[1:] == ["--write"]:
        cards = [card(name, load_checkpoint(MODELS / f"{name}.pt")) for name in COMPOSITIONS]
        write_atomically(MODELS / "README.md", "\n".join([HEAD, *cards]).encode())
        return
    for run in sys.argv[1:]:
        path = find_checkpoint(run)
        write_atomically(MODELS / f"{load_checkpoint(path).config.integrator}.pt", Path(path).read_bytes())


if __name__ == "__main__":
    main()
