"""Outcomes to records: one for all problems together, one for each family."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..evaluation.calibration import (
    calibrated_step_parameter,
    forces_at_dial,
    geometric_mean,
    hindsight_forces,
    interval,
    resampled,
    share_interval,
    step_parameter_spread,
)
from ..evaluation.contenders import Contender
from ..evaluation.runs import Outcome, ParameterSweep, forces_a_step
from ..initial.suites import Suite
from .cost import Charge
from .records import Record, quantiles, rounded

BOOTSTRAP_SEED = 8


def _width(spread: np.ndarray) -> float | None:
    """One standard deviation of ln of the step_parameter; None: many resamples are beyond the budget."""
    known = spread[np.isfinite(spread)]
    return float(known.std()) if len(known) > 0.9 * len(spread) else None


class RecordBuilder:
    """What is known of one contender."""

    def __init__(self, share: float, budget: int, contender: Contender, suite: Suite, charge: Charge, train: Suite) -> None:
        self.share, self.budget, self.train = share, budget, train
        self.contender, self.suite, self.charge = contender, suite, charge
        self.charges = charge.at([case.size for case in suite.cases])  # (P,) a step
        self.draws = resampled(suite.family_of, np.random.default_rng(BOOTSTRAP_SEED))

    def measured(
        self, mode: str, tol: float, step_parameter: float, done: Outcome | None, spread: np.ndarray | None
    ) -> list[Record]:
        """Runs with a step_parameter; None: no step_parameter complies within the budget."""
        if done is None:
            return self._not_reached(mode, tol)
        value = float(self.contender.value(step_parameter))
        charged = done.forces + done.steps * self.charges
        records = []
        for family, rows in self._groups():
            ok = done.error <= tol
            logs = np.log(done.forces)[self._draws(family, rows)].mean(1)
            if spread is not None:  # another calibration would have made other steps, and as many more of them
                logs = logs - spread[: len(logs)]
            records.append(
                self._record(
                    family,
                    rows,
                    mode,
                    tol,
                    value=value,
                    compliance=float(ok[rows].mean()),
                    compliance_interval=share_interval(float(ok[rows].mean()), self._sample(family, rows, mode)),
                    forces=geometric_mean(done.forces[rows]),
                    forces_interval=interval(np.exp(logs)),
                    charged_forces=geometric_mean(charged[rows]),
                    error_quantiles=quantiles(done.error[rows]),
                    worst=self.suite.cases[int(rows[np.argmax(done.error[rows])])].name,
                    unfinished=int(done.unfinished[rows].sum()),
                    more={} if spread is None else {"step_parameter_spread": _width(spread)},
                    wall_time=done.wall_time if family == "all" else None,
                    errors=rounded(done.error) if family == "all" else None,
                    forces_each=rounded(done.forces) if family == "all" else None,
                )
            )
        return records

    def fitted(self, tol: float, sweep: ParameterSweep) -> list[Record]:
        """With the step_parameter that is right for these very problems: equal compliance to compare rules at, but a step_parameter nobody has."""
        step_parameter = calibrated_step_parameter(sweep, tol, self.share)
        if not math.isfinite(step_parameter):
            return self._not_reached("fitted", tol)
        forces = forces_at_dial(sweep, step_parameter)
        charged = forces * (1 + self.charges / forces_a_step(self.contender))
        spread = step_parameter_spread(sweep, tol, self.share, self.draws)
        records = []
        for family, rows in self._groups():
            logs = np.log(forces)[self._draws(family, rows)].mean(1) - spread
            records.append(
                self._record(
                    family,
                    rows,
                    "fitted",
                    tol,
                    value=float(self.contender.value(step_parameter)),
                    compliance=math.ceil(self.share * len(rows) - 1e-9) / len(rows) if family == "all" else None,
                    forces=geometric_mean(forces[rows]),
                    forces_interval=interval(np.exp(logs)),
                    charged_forces=geometric_mean(charged[rows]),
                    forces_each=rounded(forces) if family == "all" else None,
                    more={
                        "step_parameter_spread": _width(spread),
                        **({"charge": self.charge.plain()} if family == "all" else {}),
                    },
                )
            )
        return records

    def hindsight(self, tol: float, sweep: ParameterSweep) -> list[Record]:
        """The largest steps that comply, problem by problem; those that the budget does not allow for count with it."""
        forces = hindsight_forces(sweep, tol)
        reached, spent = np.isfinite(forces), np.minimum(forces, self.budget)
        first = sweep.forces[:, 0]  # what problems cost that even the coarsest steps are good enough for
        if reached.mean() < self.share:
            return self._not_reached("hindsight", tol)
        records = []
        for family, rows in self._groups():
            logs = np.log(spent)[self._draws(family, rows)].mean(1)
            records.append(
                self._record(
                    family,
                    rows,
                    "hindsight",
                    tol,
                    compliance=float(reached[rows].mean()),
                    forces=geometric_mean(spent[rows]),
                    forces_interval=interval(np.exp(logs)),
                    unfinished=int((~reached[rows]).sum()),
                    more={"at_coarsest": int((forces == first)[rows].sum())},
                    forces_each=rounded(spent) if family == "all" else None,
                )
            )
        return records

    def _not_reached(self, mode: str, tol: float) -> list[Record]:
        """Fewer than the share of the problems can comply within the budget."""
        return [self._record(family, rows, mode, tol, more={"reached": False}) for family, rows in self._groups()]

    def _groups(self) -> Iterator[tuple[str, np.ndarray]]:
        families = self.suite.families
        yield "all", np.arange(len(self.suite))
        if len(families) > 1:
            for k, family in enumerate(families):
                yield family, np.flatnonzero(self.suite.family_of == k)

    def _sample(self, family: str, rows: np.ndarray, mode: str) -> float:
        """How many problems say how large a compliance is: those measured and, after a calibration, those it was made on."""
        before = len(self.train) if family == "all" else sum(case.family == family for case in self.train.cases)
        return len(rows) if mode != "calibrated" or not before else 1 / (1 / len(rows) + 1 / before)

    def _draws(self, family: str, rows: np.ndarray) -> np.ndarray:
        """(R, ...) resamples of the problems of a group."""
        return self.draws[:, rows] if family != "all" else self.draws

    def _record(self, family: str, rows: np.ndarray, mode: str, tol: float, **found: Any) -> Record:
        suite = self.suite
        ends = {tuple(e) for name, e in suite.seeds.items() if family in ("all", name)}
        return Record(
            study="steps",
            suite=suite.name,
            family=family,
            split=suite.split,
            seeds=list(next(iter(ends))) if len(ends) == 1 else None,
            criterion=self.contender.rule.name,
            variant=self.contender.variant,
            integrator=self.contender.integrator,
            tolerance=tol,
            mode=mode,
            n=len(rows),
            **found,
        )
