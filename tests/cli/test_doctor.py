"""`aitimestepper doctor` says what the program runs on, and whether it computes what it should."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from on_terminal import ESCAPE

import aitimestepper
from aitimestepper.cli import doctor, self_test
from aitimestepper.models import SHIPPED
from aitimestepper.simulate import engine
from aitimestepper.simulate.kernels import cache
from aitimestepper.simulate.threads import available_cores

NO_TORCH = "import sys; sys.modules['torch'] = None; from aitimestepper.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a pipe gets where PyTorch is not installed."""
    words, folder = [sys.executable, "-c", NO_TORCH, "doctor"], tmp_path_factory.mktemp("doctor")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_pipe_gets_json_in_which_everything_passed_also_without_torch(found):
    assert found["passed"] is True
    assert [check["name"] for check in found["checks"]] == list(self_test.CHECKS)
    assert all(check["passed"] for check in found["checks"])
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["aitimestepper"] == aitimestepper.__version__
    assert found["cores"] == available_cores()
    assert found["vector_width"] in (1, 2, 4, 8)
    assert found["kernels"]["compiled"] > 0
    assert found["seconds"] > 0


def test_a_terminal_gets_lines_and_the_exit_code_says_whether_all_passed(found, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda quiet: found)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    options = type("Options", (), {"json": False})
    assert doctor.run(doctor.Request("doctor", {}, {}, options=options)) == 0
    lines = ESCAPE.sub("", capsys.readouterr().out).splitlines()
    text = "\n".join(lines)
    assert text.count("PASS") == len(self_test.CHECKS)
    assert "FAIL" not in text
    assert lines[-1].split()[:3] == ["self-test", "all", "passed,"]
    assert max(len(line) for line in lines if not line.startswith("kernels")) <= 100
    failed = {**found, "passed": False}
    monkeypatch.setattr(doctor, "examine", lambda quiet: failed)
    assert doctor.run(doctor.Request("doctor", {}, {}, options=options)) == 1


def test_a_check_that_fails_or_breaks_is_told_and_the_others_go_on(monkeypatch, capsys):
    def broken():
        raise RuntimeError("no such thing")

    checks = {"first": lambda: (False, "2 is not 1"), "second": broken, "third": lambda: (True, "fine")}
    monkeypatch.setattr(self_test, "CHECKS", checks)
    monkeypatch.setattr(doctor, "CHECKS", checks)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)  # importing torch takes seconds
    content = doctor.examine()
    assert content["passed"] is False
    assert [check["passed"] for check in content["checks"]] == [False, False, True]
    doctor.print_rows(doctor._rows(content))
    out = capsys.readouterr().out
    assert "FAIL  2 is not 1" in out
    assert "FAIL  RuntimeError: no such thing" in out
    assert "2 FAILED" in out


def test_the_checks_see_wrong_physics(monkeypatch):
    """Each check fails if what it looks at is wrong."""
    real = engine.simulate

    def shifted(bodies, **how):
        result = real(bodies, **how)
        threads = how.get("threads") or len(result.status)
        wrong = result.final.position * (1 + 1e-6 * threads)
        final = result.final.moved(wrong, result.final.velocity, result.final.time)
        object.__setattr__(result, "final", final)
        return result

    monkeypatch.setattr(self_test, "simulate", shifted)
    assert not self_test.CHECKS["period"]()[0]
    assert not self_test.CHECKS["threads"]()[0]
    assert not self_test.CHECKS["registers"]()[0]
    monkeypatch.setattr(self_test, "SHIPPED", (*SHIPPED, "leapfrog2"))
    assert "leapfrog2" in str(next(c for c in self_test.checks() if c.name == "networks").words)


def test_what_is_missing_is_named_with_its_extra(found):
    nothing = {**found, "optional": dict.fromkeys(doctor.OPTIONAL)}
    rows = [words for name, words in doctor._rows(nothing) if name == "not installed"]
    assert "torch: pip install 'aitimestepper[train]'" in rows
    assert "matplotlib and imageio-ffmpeg: pip install 'aitimestepper[report]'" in rows


def test_every_optional_package_is_looked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ("dev", "docs")}
    names = {re.match(r"[\w-]+", words)[0]: extra for extra, needs in reversed(extras.items()) for words in needs}
    assert names == doctor.OPTIONAL
    assert {re.match(r"[\w-]+", words)[0] for words in project["dependencies"]} == set(doctor.NEEDED)


def test_a_torch_that_does_not_load_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "aitimestepper.differentiable.devices", None)
    assert doctor._gpu().startswith("not found: PyTorch does not load (")


def test_a_cache_that_others_may_write_to_is_told(monkeypatch, tmp_path):
    class Kernel:
        class _cache:
            _cache_path = str(tmp_path)
            _cache_file = type("File", (), {"_load_index": staticmethod(dict)})

    monkeypatch.setattr(cache, "advance", Kernel)
    monkeypatch.setattr(cache, "advance_lanes", Kernel)
    tmp_path.chmod(0o755)
    assert cache.kernel_cache() == (tmp_path, 0, True, True)
    tmp_path.chmod(0o777)
    found = cache.kernel_cache()
    assert not found.private
    assert "OTHERS CAN WRITE" in doctor._kernels({**found._asdict(), "folder": str(tmp_path)})
