"""The versions of REBOUND: which has what is needed, and which was tested."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import MissingExtraError, SimulationWarning, require

TESTED = ("5.2.2",)
OLDEST = (5, 2)  # the first with integrators of users


def rebound_module(what: str) -> Any:
    """Return REBOUND, or raise one sentence where it is missing or too old for `what`."""
    module = require("rebound", "rebound", what)
    version = tuple(int(part) for part in module.__version__.split(".")[:2] if part.isdigit())
    if version < OLDEST:
        raise MissingExtraError(
            f"{what} needs REBOUND 5.2 or newer, not {module.__version__}, which has no integrators of users: "
            "pip install 'aitimestepper[rebound]'."
        )
    return module


def warn_if_untested(module: Any, stacklevel: int) -> None:
    """Warn of a version of REBOUND that was not tested: our integrator works on the memory of its simulations."""
    if module.__version__ not in TESTED:
        warnings.warn(
            f"REBOUND {module.__version__} was not tested with aitimestepper.rebound, only {', '.join(TESTED)}: compare a "
            "short run with one of its own integrators first.",
            SimulationWarning,
            stacklevel=stacklevel + 1,
        )
