"""Studies: the trainings of a sweep, ended early where they fall behind, and continued where they stopped.

A study is in a database of Optuna's. Each trial is a training in a folder of its own, whose metric is reported after every
epoch. The random numbers of a trial depend on the seed and its number alone, so that a sweep that was stopped goes on as if it
had not. Its numbers are sealed (`trials.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, UserError, nearest_name_hint, require, shown
from ..files import make_folder, path_shown, place_of
from .metrics import Recorder
from .sweep import Sweep
from .trials import SEAL, Trial, is_as_sealed, plain_trial, sealed

FIRST_EPOCHS, FIRST_TRIALS = 2, 4  # before which nothing is pruned
FOLDER = "folder"  # noted with a trial
TRAININGS = "trial-*/model_epoch_*"


class Done(NamedTuple):
    """The trials of a study, and the best of them."""

    sweep: Sweep
    trials: list[Trial]
    best: Trial
    settings: dict[str, Any]  # of the best, as `train --config` takes them
    made: int  # trials of this call


class Reports(Recorder):
    """Reports the metric of every epoch to Optuna, and ends a training that falls behind.

    values: the metric after each epoch of the trial so far, those before it was stopped too.
    """

    def __init__(self, trial: Any, sweep: Sweep, values: Mapping[int, float]) -> None:
        self.trial, self.sweep = trial, sweep
        self.values = dict(values)

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Report an epoch; a training that goes on may make one again that was reported before it stopped."""
        import optuna

        name, epoch = self.sweep.metric, int(metrics["epoch"])
        value = metrics.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            numbers = [k for k, v in metrics.items() if isinstance(v, (int, float)) and not isinstance(v, bool)]
            raise _UnknownMetric(f"metric = {shown(name)} is no number of an epoch: {nearest_name_hint(name, numbers)}")
        if epoch not in self.values:
            self.values[epoch] = float(value)
            self.trial.set_user_attr(*sealed(self.trial.number, epoch, float(value)))
            with warnings.catch_warnings(action="ignore"):
                self.trial.report(float(value), epoch)
        if epoch == max(self.values) and self.trial.should_prune():  # it may have been stopped before it was asked
            raise optuna.TrialPruned

    def value(self) -> float:
        """Return the metric of the network that a training leaves: of the best epoch with judge run, else of the last one."""
        if not self.values:
            return math.nan
        if not self.sweep.metric.startswith("validation/"):
            return self.values[max(self.values)]
        return (min if self.sweep.direction == "minimize" else max)(self.values.values())


# trains with settings, tells the recorder about every epoch, and returns the folder; it goes on with a training of which the
# recorder has epochs
Train = Callable[[dict[str, Any], Reports], Path]


class _UnknownMetric(Exception):
    """A metric that no epoch has."""


def run_sweep(sweep: Sweep, train: Train, tell: Callable[[Trial], None] = lambda trial: None) -> Done:
    """Make the trials of a study that are missing, and return all of them. tell: is told about each that has ended.

    A trial that was stopped goes on; one whose settings were tried before takes the result of that one.
    """
    require("optuna", "sweep", "a sweep")
    make_folder(sweep.folder)
    with _storage_in_words(sweep):
        study = _study(sweep)
        made, place = 0, place_of(_database(sweep))
        while (trial := _next(study, sweep)) is not None:
            ended = _run(study, sweep, trial, train)
            if place_of(_database(sweep)) != place:
                raise UserError(f"cannot write {path_shown(_database(sweep))}: it was removed, or replaced, meanwhile.")
            tell(ended)
            made += 1
        trials = [plain_trial(one, sweep) for one in _trials(study, sweep)]
        reasons = [one.user_attrs.get("reason", "") for one in _trials(study, sweep)]
    complete = [one for one in trials if one.state == "complete" and one.value is not None]
    if not complete:
        raise UserError(f"no training of the sweep {sweep.name} came to its end: {next(filter(None, reasons), 'all failed')}")
    sign = 1.0 if sweep.direction == "minimize" else -1.0
    best = min(complete, key=lambda one: (sign * float(one.value or 0.0), one.number))
    return Done(sweep, trials, best, {**sweep.train, **best.settings}, made)


# ---- the database ----------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _storage_in_words(sweep: Sweep) -> Iterator[None]:
    """Turn what a database raises, such as one that is damaged or on a full disk, into one sentence."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise _unusable(sweep, error) from None


def _database(sweep: Sweep) -> Path:
    """Return the path of a database of SQLite; for others one that leads nowhere."""
    return Path(sweep.storage.removeprefix("sqlite:///"))


def _unusable(sweep: Sweep, error: BaseException) -> UserError:
    cause = error.__cause__ or error
    words = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
    return UserError(f"storage = {shown(sweep.storage)} cannot be used: {words}.")


def _study(sweep: Sweep) -> Any:
    """Return the study in its database, made anew if it is not there."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, FIRST_EPOCHS) if sweep.prune else optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            storage=sweep.storage, study_name=sweep.name, direction=sweep.direction, pruner=pruner, load_if_exists=True
        )
        before, way = study.user_attrs.get("specification"), study.direction.name.lower()
    except Exception as error:  # whatever a database or its driver raises
        raise _unusable(sweep, error) from None
    trials = _trials(study, sweep)
    if not trials and any(sweep.folder.glob(TRAININGS)):
        raise UserError(
            f"{path_shown(sweep.folder)} holds trainings of which the study in {shown(sweep.storage)} knows nothing: move them "
            "away, or give another name."
        )
    if before is None and not trials:
        study.set_user_attr("specification", sweep.words())
    elif before != sweep.words() or way != sweep.direction:
        raise UserError(f"the study {sweep.name} in {shown(sweep.storage)} was made with other settings; give another name.")
    _refuse_damaged(trials, sweep)
    return study


def _trials(study: Any, sweep: Sweep) -> list[Any]:
    """Return all trials of a study as Optuna holds them."""
    try:
        return list(study.get_trials(deepcopy=False))
    except Exception as error:  # whatever wrong content of a database leads to
        raise _unusable(sweep, error) from None


def _refuse_damaged(trials: list[Any], sweep: Sweep) -> None:
    """Raise an error unless the trials are numbered in order, and those that have ended are as they were sealed."""
    for number, one in enumerate(trials):
        try:
            plain = plain_trial(one, sweep)
            whole = plain.number == number and is_as_sealed(one, plain)
        except (ValueError, TypeError, AttributeError, RuntimeError, KeyError):
            whole = False
        if not whole:
            raise UserError(
                f"trial {number} of the study {sweep.name} in {shown(sweep.storage)} is damaged: put back a copy of "
                "the database, or give another name."
            )


# ---- one trial -------------------------------------------------------------------------------------------------------------
def _next(study: Any, sweep: Sweep) -> Any:
    """Return the trial to make next: one of this folder that was stopped, or a new one; None if there are enough.

    A new one is there with its folder at once: one without would belong to nobody after a kill.
    """
    from optuna.trial import Trial, TrialState, create_trial

    folder = str(sweep.folder.resolve())

    def mine() -> list[Any]:
        known = _trials(study, sweep)
        return [one for one in known if one.state == TrialState.RUNNING and one.user_attrs.get(FOLDER) == folder]

    if not mine():
        if len(_trials(study, sweep)) >= sweep.trials:
            return None
        study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs={FOLDER: folder}))
    return Trial(study, mine()[0]._trial_id)


def _run(study: Any, sweep: Sweep, trial: Any, train: Train) -> Trial:
    """Make one trial, or what is left of it, and return it."""
    import optuna

    given = {name: _suggested(study, sweep, trial, name) for name in sweep.ranges}
    same = _tried(study, sweep, trial)
    recorder = Reports(trial, sweep, _trials(study, sweep)[trial.number].intermediate_values)
    state, value = "fail", None
    try:
        if same is None:
            train({**sweep.train, **given, "save_name": f"trial-{trial.number:04}", "out_dir": str(sweep.folder)}, recorder)
        value = recorder.value() if same is None else same.value
        state = "complete" if math.isfinite(value) else "fail"
    except optuna.TrialPruned:
        state = "pruned"
    except _UnknownMetric as error:
        _end(study, sweep, trial, "fail", None)
        raise ConfigError(str(error)) from None
    except UserError as error:
        trial.set_user_attr("reason", str(error))
    return _end(study, sweep, trial, state, value)


def _end(study: Any, sweep: Sweep, trial: Any, state: str, value: float | None) -> Trial:
    """Seal a trial, tell the study how it ended, and return it."""
    from optuna.trial import TrialState

    value = value if state == "complete" else None
    ended = plain_trial(_trials(study, sweep)[trial.number], sweep)._replace(state=state, value=value)
    trial.set_user_attr(SEAL, ended.seal())
    study.tell(trial, value, state=TrialState[state.upper()])
    return ended


def _suggested(study: Any, sweep: Sweep, trial: Any, name: str) -> Any:
    """Return the value of a setting in a trial, which depends on no other setting that is drawn before or after a kill."""
    from optuna.samplers import TPESampler

    stream = hashlib.sha256(f"{sweep.seed} {trial.number} {name}".encode()).digest()
    study.sampler = TPESampler(seed=int.from_bytes(stream[:4], "big"))
    try:
        value = _drawn(trial, name, sweep.ranges[name])
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # it was drawn already, and is damaged
        raise _unusable(sweep, error) from None
    trial.set_user_attr(*sealed(trial.number, name, trial.params[name]))
    return value


def _drawn(trial: Any, name: str, given: dict[str, Any]) -> Any:
    """Draw the value of a setting; lists go by their text, for databases hold no lists."""
    if "choices" in given:
        texts = {json.dumps(choice): choice for choice in given["choices"]}
        return texts[trial.suggest_categorical(name, list(texts))]
    low, high, log, step = (given[key] for key in ("low", "high", "log", "step"))
    if isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int)):
        return trial.suggest_int(name, low, high, step=step or 1, log=log)
    return trial.suggest_float(name, float(low), float(high), step=step, log=log)


def _tried(study: Any, sweep: Sweep, trial: Any) -> Any:
    """Return a trial that came to its end with the same settings; None if there is none."""
    complete = [one for one in _trials(study, sweep) if one.state.name == "COMPLETE"]
    return next((one for one in complete if one.params == trial.params), None)
