"""`aitimestepper ensemble` runs a specification, says what came of it, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import aitimestepper as ats
from aitimestepper.cli import ensemble_arguments, main
from aitimestepper.cli import ensembles as module
from aitimestepper.ensembles.spec import spec_of

SPEC = 'source = "triple:0-12"\ntol = 1e-3\nchunk = 4\n'


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """The command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the command line sets

    def call(*arguments):
        code = main(["ensemble", *map(str, arguments)])
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return call


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    return tmp_path / "small.toml"


def test_a_specification_becomes_a_table_and_inspect_describes_it(command, spec, tmp_path):
    done = command(spec)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (found["folder"], found["systems"], found["finished"]) == ("small", 12, True)
    assert found["status"] == {"ok": 12}
    table = ats.Ensemble.load(tmp_path / "small")
    assert found["force_evaluations"] == table["force_evaluations"].sum()
    assert found["max_energy_error"]["100%"] == table["max_energy_error"].max()
    again = command("inspect", tmp_path / "small")
    assert json.loads(again.stdout) == found | {"folder": str(tmp_path / "small")}


def test_ctrl_c_says_how_to_go_on_and_resume_does(command, spec, tmp_path, monkeypatch):
    real = ats.ensemble

    def stopped(source, **arguments):
        def watch(status):
            os.kill(os.getpid(), signal.SIGINT)

        return real(source, **arguments | {"progress": watch})

    with monkeypatch.context() as patch:
        patch.setattr(module, "ensemble", stopped)
        done = command(spec, "-o", "t")
    assert done.returncode == 130
    assert "interrupted: 4 of 12 systems are in t, and the same call with resume=True (--resume) goes on." in done.stderr
    half = json.loads(command("inspect", "t").stdout)
    assert (half["systems"], half["of"], half["finished"]) == (4, 12, False)
    assert half["next"] == "aitimestepper ensemble SPEC.toml -o t --resume"
    refused = command(spec, "-o", "t")
    assert refused.returncode == 2
    assert "go on with resume=True (--resume)" in refused.stderr
    assert json.loads(command(spec, "-o", "t", "--resume").stdout)["systems"] == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.toml"], "cannot read the specification missing.toml"),
        (["small.toml", "other.toml"], "give one specification, not 2"),
        (["inspect"], "give one folder"),
        (["inspect", "nowhere"], "cannot read the manifest of an ensemble nowhere/ensemble.json"),
        (["small.toml", "--scheduler", "nonsense://x"], "no scheduler of Dask answers at 'nonsense://x'"),
        (["small.toml", "--threads", "0"], "threads = 0 must be a whole number"),
        (["small.toml", "--reusme"], "--reusme"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of the libraries under Dask
def test_mistakes_are_one_sentence(command, spec, capsys, arguments, words):
    done = command(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_specification_in_the_help_is_valid(capsys):
    with pytest.raises(SystemExit):
        main(["ensemble", "--help"])
    assert "triples.toml:" in capsys.readouterr().out
    import tomllib

    text = re.search(r"triples\.toml:\n(.*?)\n\nInstead", ensemble_arguments.ENSEMBLE, flags=re.S)[1]
    source = spec_of(tomllib.loads(text), Path()).source
    assert source.chunk(0, 100).groups[0].bodies.mass.shape == (100, 3)
