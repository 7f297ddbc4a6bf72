"""The systems that the tests of ensembles run, and their rows from one batch."""

from __future__ import annotations

import pytest
from ensemble_tables import TOL, N

import aitimestepper as ats
from aitimestepper.initial.suites import make_suite


@pytest.fixture(scope="session")
def suite():
    return make_suite(("triple",), "train", N)


@pytest.fixture(scope="session")
def whole(suite):
    """All systems as one batch: the rows that every other way has to give."""
    return ats.ensemble(suite, tol=TOL)
