"""Fields and forces of every kind, for tests of all of them."""

from __future__ import annotations

from aitimestepper.fields import (
    LogarithmicHalo,
    MiyamotoNagaiField,
    NFWField,
    Oblateness,
    PlummerField,
    PointMassTidalField,
    PrecessionPotential,
    UniformField,
    tidal,
)

HALOS = {
    "plummer": PlummerField(3.0, 0.7, (0.2, -0.3, 0.0), G=2.0),
    "logarithmic": LogarithmicHalo(0.8, 1.4, 0.9, 0.7, (0.1, 0.0, 0.0)),
    "miyamoto_nagai": MiyamotoNagaiField(4.0, 1.2, 0.3, G=2.0),
    "nfw": NFWField(9.0, 1.1, (6.0, 2.0, 0.0), G=2.0),
    "wide nfw": NFWField(900.0, 25.0, (8.0, -4.0, 0.0), G=2.0),
    "uniform": UniformField((0.3, -0.2)),
}
BETWEEN = {
    "oblateness": Oblateness(0.05, 0.4, G=2.0),
    "tilted oblateness": Oblateness(-0.04, 0.5, body=1, axis=(0.6, 0.0, 0.8), G=2.0),
    "precession": PrecessionPotential(20.0, G=2.0),
}
TIDES = {"standing tide": PointMassTidalField(3.0, R0=(4.0, 1.0), G=2.0), "circling tide": tidal(3.0, 5.0, period=3.0, G=2.0)}
SUMS = {
    "sum": HALOS["plummer"] + TIDES["circling tide"] + HALOS["uniform"],
    "sum with forces": TIDES["circling tide"] + BETWEEN["precession"] + HALOS["nfw"] + BETWEEN["oblateness"],
    "forces alone": BETWEEN["precession"] + BETWEEN["oblateness"],
}
EVERY = {**HALOS, **BETWEEN, **TIDES, **SUMS}
