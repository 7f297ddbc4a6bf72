"""The steps of this package inside REBOUND: an integrator of a `rebound.Simulation`, and conversion of states both ways.

Examples:
    >>> import rebound
    >>> import aitimestepper
    >>> sim = rebound.Simulation()
    >>> sim.add(m=1.0)
    >>> sim.add(m=1e-3, a=1.0, e=0.9)
    >>> bodies = aitimestepper.rebound.to_bodies(sim)
    >>> bodies.mass.shape  # (B, N)
    (1, 2)
"""

from .attach import attach as attach
from .attach import detach as detach
from .attach import load as load
from .convert import from_bodies as from_bodies
from .convert import radii as radii
from .convert import to_bodies as to_bodies
