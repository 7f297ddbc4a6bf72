"""Results on disk, studies that go on, and what of two results differs beyond noise."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from aitimestepper.bench.comparison import compare
from aitimestepper.bench.records import Partial, Record, Results, quantiles, rounded, versions
from aitimestepper.errors import UserError

N = 60
ONE = Record("steps", "s", "all", "test", [0, N], "freefall", "plain", "leapfrog", 1e-3, "asked", N)


def results(*records, study="steps", cases=None):
    names = [f"p{i}" for i in range(N)] if cases is None else cases
    return Results(study, "aitimestepper bench steps", {"budget": 1000}, list(records), names)


def measured(seed, factor=1.0, noise=0.0, errors=None, **more):
    rng = np.random.default_rng(seed)
    forces = 1000 * np.exp(rng.normal(0, 1, N))
    forces = forces * factor * np.exp(noise * np.random.default_rng(seed + 99).normal(0, 1, N))
    spread = math.exp(1.96 / math.sqrt(N))
    mean = float(np.exp(np.log(forces).mean()))
    return replace(
        ONE, forces=mean, forces_interval=[mean / spread, mean * spread], forces_each=forces.tolist(), errors=errors, **more
    )


@pytest.mark.parametrize("name", ["r.json", "r.json.gz"])
def test_what_is_written_is_read(tmp_path, name):
    record = measured(1, errors=[1e-4] * (N - 1) + [None], error_quantiles={"0.9": None, "0.5": 1e-4}, more={"x": math.inf})
    path = results(record).save(tmp_path / "runs" / name)
    again = Results.load(path)
    assert again.records[0].forces_each == record.forces_each
    assert again.records[0].errors == record.errors
    assert again.records[0].more == {"x": None}
    assert again.records[0].key == record.key
    assert again.versions["aitimestepper"]
    assert again.cores >= 1
    assert [p.name for p in path.parent.iterdir()] == [name]
    content = path.read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    assert {"schema": "aitimestepper-bench", "version": 1}.items() <= json.loads(text).items()
    assert "Infinity" not in text
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "is not JSON"),
        ("[1, 2]", "not a result of `aitimestepper bench`"),
        ('{"schema": "aitimestepper-bench", "version": 99}', "has version 99, this program reads 1"),
        ('{"schema": "aitimestepper-bench", "version": 1}', "is damaged"),
        ('{"schema": "aitimestepper-bench", "version": 1, "records": [{"study": "steps"}]}', "is damaged"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        Results.load(path)
    with pytest.raises(UserError, match="cannot read"):
        Results.load(tmp_path / "nothing.json")
    (tmp_path / "x.json.gz").write_text(content)
    with pytest.raises(UserError, match="cannot read"):
        Results.load(tmp_path / "x.json.gz")


def test_versions_are_recorded_of_packages_that_are_installed(monkeypatch):
    installed = {"numpy": "2.0", "numba": "0.60"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert versions().items() >= installed.items()
    assert set(versions()) == {"aitimestepper", "python", "numpy", "numba"}


def test_numbers_are_rounded_to_four_digits_and_infinity_has_no_number():
    assert rounded(np.array([1.23456789e-7, math.inf, 0.0])) == [1.235e-7, None, 0.0]
    assert quantiles(np.array([1.0] * 9 + [math.inf])) == {"0.1": 1.0, "0.5": 1.0, "0.9": 1.0, "1": None}


def test_a_study_that_was_stopped_goes_on(tmp_path):
    path, settings = tmp_path / "s.json", {"a": 1}

    def begun(settings, fresh=False, **parts):
        part = Partial(path, settings, fresh)
        for name, record in parts.items():
            part.add(name, [record])
        part.stop()
        return part

    part = begun(settings, one=measured(1))
    with open(part.path, "a") as f:
        f.write('{"part": "two", "records": [{"stu')  # killed while writing
    again = begun(settings)
    assert list(again.done) == ["one"]
    assert again.done["one"][0].forces_each == measured(1).forces_each
    begun(settings, two=measured(2))
    assert list(begun(settings).done) == ["one", "two"]
    with pytest.raises(UserError, match=r"holds 2 parts of a study with other settings .*; give --fresh to drop them"):
        begun({"a": 2})
    assert list(begun(settings).done) == ["one", "two"]  # and nothing was lost
    assert begun({"a": 2}, fresh=True).done == {}
    Partial(path, {"a": 2}).close()
    assert list(tmp_path.iterdir()) == []


def test_two_studies_do_not_write_to_one_file(tmp_path):
    part = Partial(tmp_path / "s.json", {})
    with pytest.raises(UserError, match="is being written already"):
        Partial(tmp_path / "s.json", {})
    part.stop()
    Partial(tmp_path / "s.json", {}).close()


def verdicts(before, after):
    return {c.quantity: c.verdict for c in compare(results(before), results(after)).changes}


def test_the_same_is_the_same():
    assert verdicts(measured(1), measured(1)) == {"forces": "same"}


def test_problem_by_problem_a_few_percent_are_seen_that_two_samples_would_hide():
    assert verdicts(measured(1), measured(1, 0.97, 0.02)) == {"forces": "better"}
    assert verdicts(measured(1), measured(1, 1.03, 0.02)) == {"forces": "worse"}
    found = compare(results(measured(1)), results(measured(1, 0.97, 0.02))).changes[0]
    assert found.low < 0.97 < found.high
    # other problems: the intervals of both are all that is known
    other = compare(results(measured(1)), results(measured(2, 0.97), cases=["q"] * N)).changes[0]
    assert other.verdict == "same"
    assert other.high / other.low > 1.5
    assert compare(results(measured(1)), results(measured(2, 0.2), cases=["q"] * N)).changes[0].verdict == "better"


def test_noise_alone_is_rarely_called_a_change():
    wrong = sum(verdicts(measured(s), measured(s, 1.0, 0.05))["forces"] != "same" for s in range(200))
    assert wrong <= 20


def test_compliance_changes_by_the_problems_that_changed_sides():
    good, bad = [1e-4] * N, [1e-4] * (N - 20) + [1e-2] * 20
    found = compare(results(measured(1, errors=bad)), results(measured(1, errors=good))).changes
    assert [(c.quantity, c.verdict) for c in found] == [("forces", "same"), ("compliance", "better")]
    assert found[1].change == pytest.approx(20 / N)
    one = [1e-4] * (N - 1) + [1e-2]
    assert verdicts(measured(1, errors=one), measured(1, errors=good))["compliance"] == "same"
    broken = [1e-4] * (N - 20) + [None] * 20
    assert verdicts(measured(1, errors=good), measured(1, errors=broken))["compliance"] == "worse"


def test_errors_are_compared_where_there_is_no_tolerance():
    def run(factor):
        errors = (1e-5 * np.exp(np.random.default_rng(0).normal(0, 2, N)) * factor).tolist()
        return measured(1, errors=errors, tolerance=None, mode="matched")

    assert verdicts(run(1.0), run(0.9)) == {"forces": "same", "error": "better"}
    assert verdicts(run(1.0), run(1.0))["error"] == "same"


def test_what_only_one_file_has_is_counted_and_what_does_not_fit_is_refused():
    both, extra = measured(1), measured(2, criterion="tidal")
    found = compare(results(both, extra), results(both))
    assert (len(found.changes), found.only_before, found.only_after) == (1, 1, 0)
    with pytest.raises(UserError, match="no measurement in common"):
        compare(results(extra), results(both))
    with pytest.raises(UserError, match="give two of one kind"):
        compare(results(both), results(both, study="rl"))
