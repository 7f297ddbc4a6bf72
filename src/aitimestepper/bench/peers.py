"""Other codes on the same problems: REBOUND (IAS15, leapfrogs, WHFast, TRACE) and heyoka (Taylor series).

Both are optional and imported where they are used. All their settings are the defaults, except those that are set here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, nearest_name_hint
from ..initial.suites import Case
from .heyoka_runs import taylor
from .peer_runs import Prepared
from .rebound_runs import CENTRED, METHODS, rebound_run

CENTRAL = 0.9  # fraction of all mass that must be in one body for WHFast and TRACE
SPELLED = {"whfast": "WHFast", "trace": "TRACE"}


@dataclass(frozen=True)
class Peer:
    """A method of another package."""

    package: str
    method: str
    mode: str = "plain"  # how IAS15 chooses its steps

    @property
    def name(self) -> str:
        """Name of the peer, as `peer_named` takes it."""
        return f"{self.package}:{self.method}" + ("" if self.mode == "plain" else f":{self.mode}")

    @property
    def parameter(self) -> str:
        """Name of the parameter that controls the length of its steps."""
        return {"ias15": "epsilon", "taylor": "tol"}.get(self.method, "dt")


_ALL = (
    *(Peer("rebound", "ias15", mode) for mode in ("prs23", "global", "individual", "aarseth85")),
    *(Peer("rebound", method) for method in METHODS),
    Peer("heyoka", "taylor"),
)
PEERS = {peer.name: peer for peer in _ALL}


def available_peers() -> tuple[str, ...]:
    """Return the names of the peers whose package is installed."""
    return tuple(name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package) is not None)


def peer_named(name: str) -> Peer:
    """Return a peer by name: `rebound:whfast`, `rebound:ias15:prs23`, `heyoka:taylor`, ..."""
    if name not in PEERS:
        raise ConfigError(f"unknown peer {name!r}: {nearest_name_hint(name, PEERS)}")
    return PEERS[name]


def refusal(peer: Peer, case: Case) -> str:
    """Return why the method does not suit a problem; empty: it does.

    WHFast and TRACE split the motion into ellipses about one body and small perturbations. They are run only where that body
    has nine tenths of all mass, as they are meant to be. With two bodies WHFast makes no error at any step.
    """
    share = float(np.max(case.initial.mass) / np.sum(case.initial.mass))
    if peer.method in CENTRED and share <= CENTRAL:
        who = SPELLED[peer.method]
        return f"{who} needs a central body with more than {CENTRAL:.0%} of the mass, {case.name} has {share:.0%}"
    if peer.method in (*CENTRED, "taylor") and case.softening > 0:
        return f"{peer.name} knows no softening, {case.name} has {case.softening:g}"
    if case.external_field is not None:
        return f"{peer.name} is run without outer fields, {case.name} has one"
    return ""


def prepare(peer: Peer, case: Case, value: float) -> Prepared:
    """Prepare runs of a problem by a method with its own number (see `Peer.parameter`)."""
    why = refusal(peer, case)
    if why:
        raise ConfigError(f"{why}.")
    return taylor(case, value) if peer.package == "heyoka" else rebound_run(peer.method, peer.mode, case, value)
