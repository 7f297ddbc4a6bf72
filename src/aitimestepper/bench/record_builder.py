"""Records made from outcomes: one for all problems together, and one for each family."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation.calibration import calibrated_step_parameter, forces_at, hindsight_forces, step_parameter_spread
from ..evaluation.contenders import Contender
from ..evaluation.statistics import geometric_mean, interval, resampled, share_interval
from ..initial.suites import Suite
from .records import Record, quantiles, rounded

if TYPE_CHECKING:
    from ..evaluation.runs import Outcome
    from ..evaluation.sweep import ParameterSweep
    from .cost import Charge

BOOTSTRAP_SEED = 8
ALL = "all"  # in place of the name of a family: all problems together


def _width(spread: np.ndarray) -> float | None:
    """Return one standard deviation of ln of the step parameter; None: many resamples are beyond the budget."""
    known = spread[np.isfinite(spread)]
    return float(known.std()) if len(known) > 0.9 * len(spread) else None


class RecordBuilder:
    """Makes the records of one contender: measured on `suite`, calibrated on `train`."""

    def __init__(self, share: float, budget: int, contender: Contender, suite: Suite, charge: Charge, train: Suite) -> None:
        self.share, self.budget, self.train = share, budget, train
        self.contender, self.suite, self.charge = contender, suite, charge
        self.charges = charge.at([case.size for case in suite.cases])  # (P,) force evaluations a step
        self.draws = resampled(suite.family_of, np.random.default_rng(BOOTSTRAP_SEED))

    def measured(
        self, mode: str, tol: float, step_parameter: float, outcome: Outcome | None, spread: np.ndarray | None
    ) -> list[Record]:
        """Return the records of runs with one step parameter; outcome None: none complies within the budget.

        spread: of ln of the step parameter over resamples of the problems that it was calibrated on, (R,).
        """
        if outcome is None:
            return self._not_reached(mode, tol)
        value = float(self.contender.value(step_parameter))
        charged = outcome.forces + outcome.steps * self.charges
        records = []
        for family, rows in self._groups():
            compliance = float((outcome.error[rows] <= tol).mean())
            logs = np.log(outcome.forces)[self._draws(family, rows)].mean(1)
            if spread is not None:  # forces are inversely proportional to the step parameter of another calibration
                logs = logs - spread[: len(logs)]
            each = {"errors": rounded(outcome.error), "forces_each": rounded(outcome.forces), "wall_time": outcome.wall_time}
            records.append(
                self._record(
                    family,
                    rows,
                    mode,
                    tol,
                    value=value,
                    compliance=compliance,
                    compliance_interval=share_interval(compliance, self._sample_size(family, rows, mode)),
                    forces=geometric_mean(outcome.forces[rows]),
                    forces_interval=interval(np.exp(logs)),
                    charged_forces=geometric_mean(charged[rows]),
                    error_quantiles=quantiles(outcome.error[rows]),
                    worst=self.suite.cases[int(rows[np.argmax(outcome.error[rows])])].name,
                    unfinished=int(outcome.unfinished[rows].sum()),
                    more={} if spread is None else {"step_parameter_spread": _width(spread)},
                    **(each if family == ALL else {}),
                )
            )
        return records

    def fitted(self, tol: float, sweep: ParameterSweep) -> list[Record]:
        """Return the records at the step parameter calibrated on these very problems, which is not known beforehand.

        All rules have the same compliance there, so that their costs can be compared.
        """
        step_parameter = calibrated_step_parameter(sweep, tol, self.share)
        if not math.isfinite(step_parameter):
            return self._not_reached("fitted", tol)
        forces = forces_at(sweep, step_parameter)
        charged = forces * (1 + self.charges / self.contender.forces_per_step)
        spread = step_parameter_spread(sweep, tol, self.share, self.draws)
        records = []
        for family, rows in self._groups():
            logs = np.log(forces)[self._draws(family, rows)].mean(1) - spread
            more: dict[str, Any] = {"step_parameter_spread": _width(spread)}
            each: dict[str, Any] = {}
            if family == ALL:
                more["charge"] = self.charge.plain()
                each = {
                    "compliance": math.ceil(self.share * len(rows) - 1e-9) / len(rows),
                    "forces_each": rounded(forces),
                }
            records.append(
                self._record(
                    family,
                    rows,
                    "fitted",
                    tol,
                    value=float(self.contender.value(step_parameter)),
                    forces=geometric_mean(forces[rows]),
                    forces_interval=interval(np.exp(logs)),
                    charged_forces=geometric_mean(charged[rows]),
                    more=more,
                    **each,
                )
            )
        return records

    def hindsight(self, tol: float, sweep: ParameterSweep) -> list[Record]:
        """Return the records at the largest steps of each problem that comply.

        Problems for which the budget allows none count with the whole budget.
        """
        forces = hindsight_forces(sweep, tol)
        reached, cost = np.isfinite(forces), np.minimum(forces, self.budget)
        first = sweep.forces[:, 0]  # cost of problems that comply even at the coarsest steps
        if reached.mean() < self.share:
            return self._not_reached("hindsight", tol)
        records = []
        for family, rows in self._groups():
            logs = np.log(cost)[self._draws(family, rows)].mean(1)
            records.append(
                self._record(
                    family,
                    rows,
                    "hindsight",
                    tol,
                    compliance=float(reached[rows].mean()),
                    forces=geometric_mean(cost[rows]),
                    forces_interval=interval(np.exp(logs)),
                    unfinished=int((~reached[rows]).sum()),
                    more={"at_coarsest": int((forces == first)[rows].sum())},
                    forces_each=rounded(cost) if family == ALL else None,
                )
            )
        return records

    def _not_reached(self, mode: str, tol: float) -> list[Record]:
        """Return records without numbers, for fewer than `share` of the problems can comply within the budget."""
        return [self._record(family, rows, mode, tol, more={"reached": False}) for family, rows in self._groups()]

    def _groups(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield name and indices of the problems: for all together, then for each family if there are several."""
        families = self.suite.families
        yield ALL, np.arange(len(self.suite))
        if len(families) > 1:
            for k, family in enumerate(families):
                yield family, np.flatnonzero(self.suite.family_of == k)

    def _sample_size(self, family: str, rows: np.ndarray, mode: str) -> float:
        """Return the effective number of problems behind a compliance: those measured and, if calibrated, those of that."""
        before = len(self.train) if family == ALL else sum(case.family == family for case in self.train.cases)
        return len(rows) if mode != "calibrated" or not before else 1 / (1 / len(rows) + 1 / before)

    def _draws(self, family: str, rows: np.ndarray) -> np.ndarray:
        """Return resamples of the problems of a group, (R, ...)."""
        return self.draws[:, rows] if family != ALL else self.draws

    def _record(self, family: str, rows: np.ndarray, mode: str, tol: float, **measured: Any) -> Record:
        suite = self.suite
        ends = {tuple(e) for name, e in suite.seeds.items() if family in (ALL, name)}
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
            **measured,
        )
