"""Calibrate a trained network anew, as the end of its training does, and measure it on `validation` once more.

    python diagnostics/calibrate_anew.py MODEL.npz OUT.npz [--calibration 40] [--validation 16] [--threads 1]
    python diagnostics/calibrate_anew.py MODEL.npz OUT.npz --keep         only measure it once more

Problems are those of the training: the families of its card, of the split `train` from number 20,000 on. The card says that it
was done, and with how many problems. Five minutes for a splitting of order 4.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.models import load_model, save_model
from aitimestepper.training.judges.calibration import calibrate
from aitimestepper.training.judges.objective import scores
from aitimestepper.training.judges.problems import ProblemSets
from aitimestepper.training.judges.run import CALIBRATION, LONG
from aitimestepper.training.judges.tolerances import asked

OLD = ("calibration", "decided_by", "sensitive_calibration", "sensitive_decided_by")


def main() -> None:
    """Calibrate, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calibration", type=int, default=40, help="problems of each family")
    parser.add_argument("--validation", type=int, default=16, help="problems of each family, to measure with")
    parser.add_argument("--keep", action="store_true", help="keep the calibration that the model has")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    model = load_model(given.model)
    families = model.card["families"]
    card: dict[str, Any] = {name: value for name, value in model.card.items() if name not in OLD}
    plain = dataclasses.replace(model, card=card)

    def problems(split: str, count: int, names: list[str], first: int) -> ProblemSets:
        return ProblemSets.make(model.config.integrator, asked(model.config), split, count, names, None, first, given.threads)

    if given.keep:
        card = dict(model.card)
    else:
        found = calibrate(LearnedStep(plain), problems("train", given.calibration, families, CALIBRATION), given.threads)
        card = {**card, **found.card(), "calibrated_anew": {"problems": given.calibration}}
    step = LearnedStep(dataclasses.replace(model, card=card))
    measured = problems("validation", given.validation, [f for f in families if f != LONG] or families, 0)
    card["validation"] = [score._asdict() for score in scores(measured, measured.evaluate(step, given.threads))]
    save_model(given.out, dataclasses.replace(model, card=card))
    for name in ("calibration", "decided_by", "sensitive_calibration", "sensitive_decided_by", "validation"):
        print(name, card.get(name))


if __name__ == "__main__":
    main()
