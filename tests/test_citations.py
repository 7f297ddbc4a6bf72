"""cite(): every integrator and criterion has its sources, and what was used decides what is listed."""

import re

import pytest

import aitimestepper
from aitimestepper import FreeFall, Huayno, HutMakino, NFWField, PlummerField, Simulation, Symmetrized, cite, simulate
from aitimestepper.bibliography import PAPERS
from aitimestepper.citations import CRITERIA, FIELDS, INTEGRATORS
from aitimestepper.criteria.base import Criterion
from aitimestepper.errors import UserError
from aitimestepper.initial import kepler
from aitimestepper.integrators import INTEGRATORS as ALL_INTEGRATORS


def keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", text, flags=re.M)


def every_criterion(kind: type[Criterion] = Criterion) -> set[str]:
    own = {kind.name} if kind.name and kind.__module__.startswith("aitimestepper.") else set()
    return own.union(*(every_criterion(sub) for sub in kind.__subclasses__()))


def test_every_integrator_has_a_paper():
    assert set(INTEGRATORS) == set(ALL_INTEGRATORS)
    assert all(INTEGRATORS.values())


def test_every_criterion_is_listed():
    assert every_criterion() == set(CRITERIA)


def test_no_paper_is_missing_and_none_is_left_over():
    cited = {key for table in (INTEGRATORS, CRITERIA, FIELDS) for found in table.values() for key in found}
    assert cited | {"reinliu2012"} == set(PAPERS)
    for kind, fields in PAPERS.values():
        assert {"title", "author", "year"} <= set(fields), kind


def test_what_a_run_used_is_listed_once_each():
    result = simulate(kepler(e=0.5), steps=10, criterion=Symmetrized(HutMakino(0.03)), integrator="hermite4")
    assert keys(cite(result)) == ["aitimestepper", "hutmakinomcmillan1995", "holder2001", "hutmakino2003", "makinoaarseth1992"]


def test_the_default_run_names_its_splitting():
    result = simulate(kepler(e=0.5), steps=10, tol=1e-5)
    assert keys(cite(result)) == ["aitimestepper", "hutmakinomcmillan1995", "holder2001", "blanesmoan2002"]
    assert cite(Simulation(kepler(e=0.5), tol=1e-5)) == cite(result)


def test_outer_fields_are_listed():
    assert all(hasattr(aitimestepper, name) for name in FIELDS)
    fields = [PlummerField(M=0.1, b=2.0), NFWField(M=0.1, r_s=3.0)]
    result = simulate(kepler(e=0.5), steps=10, criterion=FreeFall(), external_field=fields)
    assert keys(cite(result)) == ["aitimestepper", "verlet1967", "plummer1911", "nfw1997"]


def test_an_ensemble_names_the_methods_of_all_its_systems(tmp_path):
    pytest.importorskip("pyarrow")
    found = aitimestepper.ensemble("triple:0-4", tol=1e-5)
    assert keys(cite(found)) == ["aitimestepper", "hutmakinomcmillan1995", "holder2001", "blanesmoan2002"]
    precise = aitimestepper.ensemble("triple:0-4", tol=1e-8, out=tmp_path / "it")
    assert keys(cite(aitimestepper.Ensemble.load(precise.folder))) == [
        "aitimestepper",
        "prs2024",
        "everhart1985",
        "reinspiegel2015",
    ]
    own = aitimestepper.ensemble("triple:0-4", criterion=Symmetrized(HutMakino(0.1)), integrator="hermite4")
    assert "hutmakino2003" in keys(cite(own))
    assert "makinoaarseth1992" in keys(cite(own))


def test_criteria_and_names():
    assert keys(cite(FreeFall())) == ["aitimestepper"]
    assert keys(cite(Huayno(HutMakino()))) == ["aitimestepper", "pelupessy2012", "hutmakino2003"]
    assert cite("hermite4:n=3") == cite("hermite4")
    assert keys(cite()) == list(PAPERS)


@pytest.mark.parametrize("wrong", ["leapfrok", 3])
def test_what_is_unknown_is_one_sentence(wrong):
    with pytest.raises(UserError, match=r"cite: .*(did you mean 'leapfrog'|is neither)"):
        aitimestepper.cite(wrong)


def test_braces_are_balanced():
    for entry in cite().split("\n\n"):
        assert entry.count("{") == entry.count("}")
