"""Sizes of the ensembles of the tests, and the comparison of two tables."""

TOL = 1e-3
N = 24


def same(one, other, columns=None):
    names = columns or [name for name in one.columns if name in other.columns]
    assert {"max_energy_error", "closest_distance", "steps", "status"} <= set(names)
    return one.to_pandas(names).equals(other.to_pandas(names))  # where NaN equals NaN
