"""Who is bound to whom: the joins of batches beside a plain loop over the pairs of one system."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aitimestepper.binding import joins_of


def joined_one_by_one(mass, x, v, G, softening):
    """Return pairs, 1/a and centres of the joins of one system, always of the two nodes with the smallest semi-major axis."""
    nodes = {k: (mass[k], x[k], v[k]) for k in range(len(mass))}
    found = []
    while True:
        best = None
        for i, j in itertools.combinations(sorted(nodes), 2):
            (m_i, x_i, v_i), (m_j, x_j, v_j) = nodes[i], nodes[j]
            if m_i + m_j == 0.0:
                continue
            r = np.sqrt(((x_j - x_i) ** 2).sum() + softening**2)
            binding = 2.0 / r - ((v_j - v_i) ** 2).sum() / (G * (m_i + m_j))
            if binding > 0.0 and (best is None or binding > best[0]):
                best = binding, i, j
        if best is None:
            return found
        binding, i, j = best
        i, j = (j, i) if nodes[j][0] > nodes[i][0] else (i, j)
        (m_i, x_i, v_i), (m_j, x_j, v_j) = nodes[i], nodes.pop(j)
        total = m_i + m_j
        nodes[i] = total, (m_i * x_i + m_j * x_j) / total, (m_i * v_i + m_j * v_j) / total
        found.append(((i, j), binding, nodes[i][1]))


@pytest.mark.parametrize(("n", "dim", "seed"), [(1, 3, 0), (2, 3, 1), (3, 3, 2), (3, 2, 3), (5, 3, 4), (8, 3, 5)])
def test_the_joins_of_a_batch_are_those_of_each_system_alone(n, dim, seed):
    rng, B, G = np.random.default_rng(seed), 60, 1.5
    mass = rng.choice([0.0, 0.5, 1.0, 2.0], size=(B, n))
    x, v = rng.normal(size=(B, n, dim)), rng.choice([0.2, 1.0, 2.0], size=(B, 1, 1)) * rng.normal(size=(B, n, dim))
    softening, present = rng.choice([0.0, 0.3], size=B), rng.random((B, n)) < 0.8
    joins = joins_of(mass, x, v, G, softening, present)
    counts = set()
    for b in range(B):
        own = np.flatnonzero(present[b])
        expected = joined_one_by_one(mass[b, own], x[b, own], v[b, own], G, softening[b])
        for k, (pair, binding, centre) in enumerate(expected):
            assert joins.pair[b, k].tolist() == own[list(pair)].tolist()
            np.testing.assert_allclose(joins.inverse_axis[b, k], binding, rtol=1e-10)
            np.testing.assert_allclose(joins.centre_x[b, k], centre, rtol=1e-10, atol=1e-12)
        assert (joins.pair[b, len(expected) :] == -1).all()
        assert np.isnan(joins.inverse_axis[b, len(expected) :]).all()
        absorbed = {int(own[pair[1]]) for pair, _, _ in expected}
        assert set(joins.root[b, own].tolist()) == set(own.tolist()) - absorbed
        assert (joins.root[b, ~present[b]] == -1).all()
        counts.add(len(expected))
    assert n < 3 or len(counts) > 1  # systems of one batch differ in the number of their joins
