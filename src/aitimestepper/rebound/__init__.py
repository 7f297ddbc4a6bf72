"""The steps of this package inside REBOUND: an integrator of a `rebound.Simulation`, and conversion of states both ways."""

from .attach import attach as attach
from .attach import detach as detach
from .attach import load as load
from .convert import from_bodies as from_bodies
from .convert import radii as radii
from .convert import to_bodies as to_bodies
