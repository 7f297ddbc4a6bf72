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
commands below made them, one after the other, from problems of the split `train`; the first one of each ran on a machine with a
GPU and was stopped by its time limit, the next one began with its network. They were measured on `validation` on the way;
figures on `test` are in docs/learned.md.

A network is asked for its calibrated tolerance, so that true runs stay within the tolerance that the user asks for: in the
total energy, and where the motion is regular in every body's own. `decided by` is the family that needs the smallest one.
Sensitive systems (light bodies about one heavy one, or about two; encounters of three and more bodies; a few
bodies in an external field) have a calibrated tolerance of their own: the second one of each column. In
runs of more than 40 orbits of disturbed bodies the network is asked for less, with the square of their number.

Limits: the networks are for the tolerances of their table, and for three times smaller or larger ones. Beyond these `simulate`
takes EnergyBudget or Gauss-Radau. An input outside the range of the training counts as the end of that range;
`steps_outside_training` of a result says in how many steps that happened. What the models promise is not the positions.
"""


def stages(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the cards of the trainings that made a network, the first one first."""
    return [*(stages(about["start"]) if about.get("start") else []), about]


def card(integrator: str, model: Model) -> str:
    """Return the card of a model as Markdown."""
    about: Mapping[str, Any] = model.card
    made, config = stages(about), model.config
    hours = sum(one.get("hours", 0.0) for one in made)
    parameters = sum(x.size for name, x in model.weights.items() if name.startswith(("hidden", "log_dt")))
    words = (
        f"{parameters} parameters, layers {' '.join(map(str, config.layers))}, {hours:.2f} hours. Learned from "
        f"{', '.join(about['families'])} at {', '.join(f'{tol:g}' for tol in about['learned'])}; calibrated on "
        f"{about.get('calibrated_anew', {}).get('problems', config.calibration)} others of each family"
        + (", anew by `python diagnostics/calibrate_anew.py`." if about.get("calibrated_anew") else ".")
    )
    factor, own = dict(model.calibration), dict(model.sensitive_calibration)
    decided = zip(about["decided_by"], about.get("sensitive_decided_by") or about["decided_by"], strict=True)
    head = ["tolerance", "calibrated tolerance", "within it on `validation` (worst family)", "median error / tolerance"]
    rows = [
        [
            f"{row['tol']:g}",
            f"{factor[row['tol']] * row['tol']:.2g}; {own[row['tol']] * row['tol']:.2g}",
            f"{row['compliance']:.0%} ({row['worst_compliance']:.0%})",
            f"{row['median']:.2g}",
            f"{row['forces']:.0f}",
            "; ".join(names),
        ]
        for row, names in zip(about["validation"], decided, strict=True)
    ]
    commands = "\n".join(f"- `{one['command']}`" for one in made if "command" in one)
    return "\n\n".join([f"## {integrator}", commands, words, table([*head, "force evaluations", "decided by"], rows)]) + "\n"


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
