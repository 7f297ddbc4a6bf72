"""Put trained models into the package, with a card each.

python docs/model_cards.py RUN [RUN ...]   copy the models of these runs to src/aitimestepper/models, by integrator
python docs/model_cards.py --write         write src/aitimestepper/models/README.md from the models that are there
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pages import table

from aitimestepper.files import write_atomically
from aitimestepper.models import FOLDER, SHIPPED, Model, find_model, load_model, shipped

HEAD = """# The learned steps of the package

Small networks for the splittings below; `simulate(bodies, t_end=..., tol=...)` takes the cheapest for the tolerance. The
commands below made them, with an earlier version of this program, from problems of the split `train`. They were measured on
`validation` on the way; figures on `test` are in docs/learned.md. Today `aitimestepper train --judge run --integrator NAME`
makes such a network (docs/claims.md says how one for leapfrog compares); the flags below are those of the earlier version.

A network is asked for its calibrated tolerance, so that true runs stay within the tolerance that the user asks for.

Limits: the networks are for the tolerances of their table, and for three times smaller or larger ones. Beyond these `simulate`
takes EnergyBudget or Gauss-Radau. An input outside the range of the training counts as the end of that range;
`steps_outside_training` of a result says in how many steps that happened. One input is the energy error so far: what the models
promise is the energy error, not the positions of the bodies. docs/learned.md has figures for both.
"""


def training_of(model: Model) -> dict[str, Any]:
    """Return how a model was trained, under the same names for cards of this program and of the earlier one."""
    about, config = model.card, model.config
    if "plan" in about:
        return {**about["plan"], "length": f"{about['plan']['descent']['iterations']} iterations"}
    return {
        "problems": config.epochs * config.num_orbits,
        "families": about["families"],
        "length": f"{config.epochs} epochs",
        "learned": about["learned"],
        "calibration": config.calibration,
        "layers": config.layers,
        "seed": about["seed"],
    }


def card(integrator: str, model: Model) -> str:
    """Return the card of a model as Markdown."""
    about: Mapping[str, Any] = model.card
    plan, start = training_of(model), about.get("start", {})  # start: the card of the network that it began with
    hours = about["hours"] + start.get("hours", 0.0)
    parameters = sum(x.size for name, x in model.weights.items() if name.startswith(("hidden", "log_dt")))
    commands = [x["command"] for x in (start, about) if x]
    words = (
        f"{parameters} parameters, layers {' '.join(map(str, plan['layers']))}, seed {plan['seed']}, {hours:.2f} hours on one "
        f"core. Trained on {plan['problems']} problems each of {', '.join(plan['families'])}, {plan['length']} at "
        f"{', '.join(f'{tol:g}' for tol in plan['learned'])}; calibrated on {plan['calibration']} others of each family."
    )
    factor = dict(model.calibration)
    head = ["tolerance", "calibrated tolerance", "within it on `validation` (worst family)", "median error / tolerance"]
    rows = [
        [
            f"{row['tol']:g}",
            f"{factor[row['tol']] * row['tol']:.2g}",
            f"{row['compliance']:.0%} ({row['worst_compliance']:.0%})",
            f"{row['median']:.2g}",
            f"{row['forces']:.0f}",
        ]
        for row in about["validation"]
    ]
    parts = [f"## {integrator}", "\n".join(f"`{command}`" for command in commands), words]
    return "\n\n".join([*parts, table([*head, "force evaluations"], rows)]) + "\n"


def main() -> None:
    """Copy models, or write their cards."""
    if sys.argv[1:] == ["--write"]:
        cards = [card(name, shipped(name)) for name in SHIPPED]
        write_atomically(FOLDER / "README.md", "\n".join([HEAD, *cards]).encode())
        return
    for run in sys.argv[1:]:
        path = find_model(run)
        write_atomically(FOLDER / f"{load_model(path).config.integrator}.npz", path.read_bytes())


if __name__ == "__main__":
    main()
