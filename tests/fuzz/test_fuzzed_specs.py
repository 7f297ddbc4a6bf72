"""Specifications of ensembles and of sweeps, of any keys and values: taken, or refused in one sentence."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import FLOATS, WORDS, fuzzed, taken
from hypothesis import given
from hypothesis import strategies as st

from aitimestepper.cli.arguments import to_toml
from aitimestepper.ensembles.distributions import KINDS
from aitimestepper.ensembles.drawn import Drawn
from aitimestepper.ensembles.settings import Settings
from aitimestepper.ensembles.setups import SETUPS
from aitimestepper.ensembles.sources import source_of
from aitimestepper.ensembles.spec import KEYS, read_spec, spec_of

LARGE = st.integers(-(2**70), 2**70)
ANY = FLOATS | WORDS | st.booleans() | st.integers(-2, 5) | LARGE | st.lists(FLOATS | WORDS, max_size=4)


def distributions() -> st.SearchStrategy[Any]:
    """Draw what a column may be given as: a number, or a distribution, right or wrong."""
    kind = st.sampled_from([*KINDS, "uniform", "choice", "values"]) | WORDS
    values = st.lists(st.floats(0.0, 3.0) | FLOATS, max_size=4) | ANY
    return st.floats(0.01, 3.0) | st.dictionaries(kind, values, max_size=2) | ANY


@st.composite
def specifications(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a specification: one that might run, with some keys that are changed."""
    setup = draw(st.sampled_from([*SETUPS, *SETUPS, "source"]))
    names = ["m1", "m2", "m3", "a1", "a2", "e1", "e2", "inc2", "v", "b", "omega1", "f2"]
    usual: dict[str, Any] = {"systems": 3, "tol": 1e-3, "periods": 1.0}
    if setup == "source":
        usual = {"source": draw(st.sampled_from(["triple:0-3", "kepler:5-2", "x.h5", "triple:0-99999999999"]) | WORDS)}
    else:
        right = {"m1": 1.0, "m2": 1.0, "a1": 1.0, "m3": 0.5} | ({"a2": 9.0} if setup == "hierarchy" else {"v": 0.5, "b": 1.0})
        usual[setup] = right | draw(st.dictionaries(st.sampled_from(names) | WORDS, distributions(), max_size=2))
    return usual | draw(st.dictionaries(st.sampled_from(sorted(KEYS)) | WORDS, distributions(), max_size=2))


@fuzzed
@given(specifications())
def test_specifications_of_ensembles(content: dict[str, Any]) -> None:
    made = taken(lambda: spec_of(content))
    if made is None:
        return
    given_ = {name: value for name, value in made.arguments.items() if name in Settings.__dataclass_fields__}
    taken(lambda: Settings.of(given_.pop("events", None), **given_))
    if isinstance(made.source, Drawn) and made.source.count < 10**6:
        chunk = taken(lambda: made.source.chunk(0, min(3, made.source.count)))
        for group in () if chunk is None else chunk.groups:
            assert np.isfinite(group.bodies.position).all()
            assert np.isfinite(group.bodies.velocity).all()
    elif isinstance(made.source, str):
        taken(lambda: source_of(made.source, made.arguments.get("dim", 3)))


@fuzzed
@given(specifications())
def test_specifications_of_ensembles_in_files(content: dict[str, Any]) -> None:
    """What is read from a file is what the tables say, or it is refused as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.toml"
        try:
            path.write_text(_toml(content))
        except (ValueError, UnicodeEncodeError):  # no file can hold it
            return
        taken(lambda: read_spec(path))


def _toml(content: dict[str, Any]) -> str:
    plain = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    lines = [to_toml({name: value}) for name, value in plain.items()]
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_inline(value)}" for key, value in table.items()]
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + " }"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


RANGES = ["lr", "layers", "epochs", "steps_per_epoch", "seed", "energy_threshold", "judge", "weight_decay"]


@st.composite
def ranges(draw: st.DrawFn) -> Any:
    """Draw a range of a setting, right or wrong."""
    number = st.floats(1e-5, 1.0) | st.integers(1, 50) | FLOATS | WORDS
    given_ = draw(st.dictionaries(st.sampled_from(["low", "high", "log", "step", "choices"]), number | st.booleans() | ANY))
    right = {"low": draw(st.floats(1e-5, 1e-3)), "high": draw(st.floats(2e-3, 1.0))}
    return draw(st.sampled_from([right | given_, given_, right, [1, 4], [[8], [4]]]) | ANY)


@pytest.mark.torch  # only its environment has optuna
@fuzzed
@given(
    st.dictionaries(st.sampled_from(RANGES) | WORDS, ranges(), max_size=3),
    st.dictionaries(st.sampled_from(RANGES) | WORDS, ANY, max_size=2),
    st.dictionaries(
        st.sampled_from(["trials", "metric", "direction", "seed", "prune", "name", "storage"]) | WORDS, ANY, max_size=2
    ),
)
def test_specifications_of_sweeps(swept: dict[str, Any], train: dict[str, Any], more: dict[str, Any]) -> None:
    from aitimestepper.training.sweep import sweep_of

    made = taken(lambda: sweep_of({"train": train, "range": swept, **more}, Path("it.toml")))
    if made is not None:
        assert made.trials >= 1
        assert made.ranges
        assert all(math.isfinite(one["low"]) for one in made.ranges.values() if "low" in one)
        assert made.words()
