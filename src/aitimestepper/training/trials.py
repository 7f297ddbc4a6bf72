"""Trials of a study as plain values, and the seals of their numbers.

A database has no checksums, and other numbers in it would go unnoticed. So every setting and every metric of a trial is sealed,
and all of it when it has ended.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from .sweep import Sweep

SEAL = "seal"  # noted with a trial
ENDED = ("complete", "pruned", "fail")


class Trial(NamedTuple):
    """A trial of a study."""

    number: int
    state: str  # complete, pruned, fail or running
    value: float | None
    settings: dict[str, Any]
    epochs: dict[int, float]  # the metric after each

    def seal(self) -> str:
        """Return a checksum of all of it."""
        return _checksum(self)


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def plain_trial(one: Any, sweep: Sweep) -> Trial:
    """Return a trial of Optuna as plain values."""
    settings = {
        name: json.loads(value) if "choices" in sweep.ranges.get(name, {}) else value for name, value in one.params.items()
    }
    value = one.value if one.state.name == "COMPLETE" else None
    return Trial(one.number, one.state.name.lower(), value, settings, dict(sorted(one.intermediate_values.items())))


def sealed(number: int, key: str | int, value: Any) -> tuple[str, str]:
    """Return the name and the value of the seal of a setting, or of the metric after an epoch."""
    return f"{SEAL} {key}", _checksum([number, key, value])


def is_as_sealed(one: Any, plain: Trial) -> bool:
    """Return whether a trial is as it was sealed; one: as Optuna holds it.

    A metric is sealed before it is reported, a setting after it was drawn: a trial may have been stopped in between.
    """
    if plain.state in ENDED:
        return bool(one.user_attrs.get(SEAL) == plain.seal())
    metrics = (sealed(one.number, epoch, value) for epoch, value in one.intermediate_values.items())
    settings = (sealed(one.number, name, value) for name, value in one.params.items())
    found = one.user_attrs
    return all(found.get(name) == seal for name, seal in metrics) and all(found.get(k, seal) == seal for k, seal in settings)
