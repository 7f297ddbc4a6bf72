"""Whatever is written, every parser takes it, or refuses it in one sentence: random texts and numbers, made by hypothesis.

A few of them always, the same in every run; `FAULTS_EXAMPLES=20000` (make faults) asks for so many others of each.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import FLOATS, WORDS, fuzzed, taken, texts
from hypothesis import given
from hypothesis import strategies as st

from aitimestepper import Bodies
from aitimestepper.bodies import as_bodies
from aitimestepper.cli.arguments import parse
from aitimestepper.config import load_toml
from aitimestepper.criteria.base import Criterion
from aitimestepper.criteria.catalogue import CRITERIA, criterion_named
from aitimestepper.errors import UserError
from aitimestepper.events import EVENTS, Event, as_events, event_from_plain, event_named, event_to_plain
from aitimestepper.fields import field_named
from aitimestepper.initial.named import MAKERS, InitialConditions
from aitimestepper.integrators import INTEGRATORS, Integrator, integrator_named
from aitimestepper.simulate.trajectory import output_times
from aitimestepper.specs import build
from aitimestepper.units import UNITS, UnitSystem, unit_system, units_from_plain

CRITERION_KEYS = ["eta", "dt", "tol", "epsilon", "integrator", "c"]
EVENT_KEYS = ["below", "radius", "beyond", "x", "y", "z", "offset", "both", "body", "stop", "action"]
INITIAL_KEYS = ["e", "q", "a", "dim", "G", "x", "y", "ratio", "inc"]


@fuzzed
@given(texts(list(CRITERIA), CRITERION_KEYS))
def test_criteria(text: str) -> None:
    made = taken(lambda: criterion_named(text))
    if made is not None:
        assert isinstance(made, Criterion)
        assert str(made)
        assert hash(made) == hash(criterion_named(text))


@fuzzed
@given(texts(list(EVENTS), EVENT_KEYS))
def test_events(text: str) -> None:
    made = taken(lambda: event_named(text))
    if made is not None:
        assert isinstance(made, Event)
        assert event_from_plain(event_to_plain(made)) == made == as_events(text)[0]


@fuzzed
@given(st.sampled_from(list(EVENTS)), st.dictionaries(st.sampled_from(EVENT_KEYS), FLOATS | st.booleans() | st.none() | WORDS))
def test_events_of_files(kind: str, values: dict[str, Any]) -> None:
    made = taken(lambda: event_from_plain({"kind": kind, **values}))
    assert made is None or event_from_plain(event_to_plain(made)) == made


@fuzzed
@given(st.sampled_from([*INTEGRATORS, "hermite4:n=", "auto"]).flatmap(lambda name: WORDS.map(lambda rest: name + rest)) | WORDS)
def test_integrators(text: str) -> None:
    made = taken(lambda: integrator_named(text))
    assert made is None or (isinstance(made, Integrator) and integrator_named(str(made)) == made)


@fuzzed
@given(texts(["kepler", "figure8", "burrau", "triple", "kozai", "solar", "agekyan"], INITIAL_KEYS))
def test_initial_conditions(text: str) -> None:
    name = text.partition(":")[0]
    makers = {key: make for key, make in MAKERS.items() if key not in ("file", "plummer", "random")} if name else MAKERS
    made = taken(lambda: build(text, makers, "initial conditions", UserError))
    if made is not None:
        assert isinstance(made, InitialConditions)
        taken(lambda: Bodies(made.mass, made.position, made.velocity))


@fuzzed
@given(texts(["tidal", "plummer", "uniform"], ["M", "R0", "period", "a", "b", "x", "y", "z"]))
def test_fields(text: str) -> None:
    taken(lambda: field_named(text, 1.0))


@fuzzed
@given(st.lists(st.sampled_from([*UNITS, "au", "Msun", "yr"]) | WORDS, max_size=5).map(" ".join) | st.text(max_size=12))
def test_units(text: str) -> None:
    made = taken(lambda: unit_system(text))
    if made is not None:
        assert isinstance(made, UnitSystem)
        assert 0.0 < made.G < math.inf
        assert units_from_plain(made.to_plain()) == made


@fuzzed
@given(st.lists(FLOATS | st.integers() | WORDS | st.none(), max_size=5) | FLOATS | WORDS)
def test_times(times: Any) -> None:
    made = taken(lambda: output_times(times))
    if made is not None:
        assert np.isfinite(made).all()
        ahead = np.diff(made)
        assert (ahead > 0).all() or (ahead < 0).all()


ELEMENTS = ["a", "q", "e", "inc", "Omega", "omega", "f", "M", "T"]


@fuzzed
@given(
    st.lists(st.floats(0.0, 1e10) | FLOATS, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(ELEMENTS), st.floats(0.0, 3.0) | FLOATS | st.lists(FLOATS, max_size=3)),
    st.sampled_from(["jacobi", "heliocentric", "barycentric", "x", 0, 1, 7]),
)
def test_elements(mass: list[float], orbits: dict[str, Any], primary: Any) -> None:
    made = taken(lambda: Bodies.from_elements(mass, **orbits, primary=primary))
    if made is not None:
        assert np.isfinite(made.position).all()
        assert np.isfinite(made.velocity).all()
        taken(made.elements)


HEADERS = [
    "m",
    "mass",
    "x",
    "y",
    "z",
    "vx",
    "vy",
    "vz",
    "a",
    "e",
    "inc",
    "f",
    "M",
    "name",
    "m [Msun]",
    "x [au]",
    "vx (km/s)",
    "?",
]


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Draw a table of bodies, right or wrong."""
    full = ["m", "x", "y", "vx", "vy"] if draw(st.booleans()) else ["m", "x", "y", "z", "vx", "vy", "vz"]
    head = full if draw(st.booleans()) else draw(st.lists(st.sampled_from(HEADERS), max_size=8))
    separator = draw(st.sampled_from([" ", ",", "\t", ";", ", "]))
    width = max(1, len(head))
    cell = st.floats(0.1, 10).map(str) | st.sampled_from(["1", "2", "0.5"]) | WORDS
    some = cell if draw(st.booleans()) else st.floats(0.1, 10).map(str)
    rows = draw(st.lists(st.lists(some, min_size=width, max_size=width), max_size=4))
    lines = [separator.join(head)] if draw(st.booleans()) else [draw(st.sampled_from(["", "# m x y vx vy", "3", "2 0.0"]))]
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join([*lines, *(separator.join(row) for row in rows)])


@fuzzed
@given(tables() | st.text(max_size=60))
def test_tables(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bodies.txt"
        path.write_bytes(text.encode(errors="surrogatepass"))
        made = taken(lambda: as_bodies(path))
    assert made is None or np.isfinite(made.position).all()


FLAGS = [
    "--ic",
    "--t-end",
    "--tol",
    "--times",
    "--events",
    "--units",
    "--steps",
    "--criterion",
    "--integrator",
    "--G",
    "--seed",
]


@fuzzed
@given(st.lists(st.tuples(st.sampled_from(FLAGS), st.lists(WORDS, max_size=3)), max_size=4))
def test_command_lines(given_flags: list[tuple[str, list[str]]]) -> None:
    words = [word for flag, values in given_flags for word in (flag, *values) if word not in ("-h", "--help", "--version")]
    made = taken(lambda: parse(["simulate", *words]))
    assert made is None or made.command == "simulate"


@fuzzed
@given(
    st.lists(
        st.tuples(st.sampled_from(["tol", "ic", "times", "events", "units", "t_end", "[simulate]", "x"]), WORDS), max_size=4
    )
)
def test_settings(lines: list[tuple[str, str]]) -> None:
    text = "\n".join(key if key.startswith("[") else f"{key} = {value}" for key, value in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "my.toml"
        path.write_bytes(text.encode(errors="surrogatepass"))
        taken(lambda: load_toml(path, "simulate"))
