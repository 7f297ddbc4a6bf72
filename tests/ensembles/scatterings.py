"""Encounters of a binary and a single body, for tests."""

from __future__ import annotations

import numpy as np

from aitimestepper import Bodies


def scatterings(count: int, v: float, seed: int, mass=(1.0, 1.0, 1.0), e: float = 0.0, most_b: float | None = None) -> Bodies:
    """Systems in which body 2 meets the binary of bodies 0 and 1, a = 1, at v times the critical velocity, from r = 25.

    Impact parameters are uniform in area, all angles and phases are random.
    """
    rng = np.random.default_rng(seed)
    m0, m1, m2 = mass
    total = m0 + m1 + m2
    speed = v * np.sqrt(m0 * m1 * total / (m2 * (m0 + m1)))
    b = (4.0 / v + 1.2 if most_b is None else most_b) * np.sqrt(rng.uniform(size=(count, 1)))
    size = total / speed**2
    arrival = np.sqrt(1.0 + (b / size) ** 2)
    f = -np.arccos((size * (arrival**2 - 1.0) / 25.0 - 1.0) / arrival)
    centres = Bodies.from_elements(np.tile([m0 + m1, m2], (count, 1)), q=size * (arrival - 1.0), e=arrival, f=f)
    angles = {name: rng.uniform(0.0, 2.0 * np.pi, (count, 1)) for name in ("M", "Omega", "omega")}
    inc = np.arccos(rng.uniform(-1.0, 1.0, (count, 1)))
    pair = Bodies.from_elements(np.tile([m0, m1], (count, 1)), a=1.0, e=e, inc=inc, **angles)
    joined = (
        np.concatenate([getattr(centres, name)[:, :1] + getattr(pair, name), getattr(centres, name)[:, 1:]], 1)
        for name in ("position", "velocity")
    )
    return Bodies(mass, *joined)
