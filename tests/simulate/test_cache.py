"""The compiled code is kept on disk: half a minute once, wherever the package lies, and under a second from then on."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import aitimestepper
from aitimestepper.simulate import kernels as package_of_kernels
from aitimestepper.simulate.kernels.cache_folder import is_private, keep_private
from aitimestepper.simulate.kernels.jit import COPIED_FROM

KERNELS = Path(package_of_kernels.__file__).parent
FIRST_CALL = """
import hashlib
import time
import aitimestepper
from aitimestepper.initial import named as initial
from aitimestepper.simulate import session

cluster = initial.plummer(13, seed=3)  # more bodies than run in lanes: both runs need the same code
began = time.perf_counter()
result = aitimestepper.simulate(cluster, steps=10, criterion=aitimestepper.PRS23())
seconds = time.perf_counter() - began
rule = aitimestepper.Symmetrized(aitimestepper.EnergyBudget(1e-6, "suzuki4"))
swarm = aitimestepper.simulate(cluster, steps=200, criterion=rule, integrator="suzuki4")
bits = hashlib.sha1(result.final.position.tobytes() + swarm.final.position.tobytes()).hexdigest()
print(aitimestepper.__file__, seconds, bits)
"""

# compiled in the same process, of the same parts
MORE = """
from test_radau import Run
assert Run(initial.kepler(0.5)).go(4.5, dt=4.5 / 22).energy_error < 1e-13
"""

KNOWN = """
from aitimestepper.simulate.kernels.run import advance
print(len(advance._cache._cache_file._load_index()))
"""


def test_a_package_that_cannot_be_written_to_is_compiled_once_and_kept_in_the_users_cache(tmp_path):
    """Costs one compilation, about 20 s: the slowest test there is. A later process starts within a second after imports.

    Where the code comes from, the compiler or the disk, makes no difference to the bits; nor does it in lanes, of which
    test_lanes.py compares those that it compiles with those that are loaded. What is compiled next to it works too: it
    crashed, calling the copies of its parts that the first had for itself.
    """
    home, package = tmp_path / "home", tmp_path / "site" / "aitimestepper"
    shutil.copytree(Path(aitimestepper.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    kernels = package / "simulate" / "kernels"
    (kernels / "__pycache__").write_text("a plain file: nothing can be put into it, not even by root")
    given = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    path = os.pathsep.join([str(package.parent), str(Path(__file__).parent)])
    env = given | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": path}

    def first_call(more: str = "") -> tuple[float, str]:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL + more], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode, done.stderr) == (0, "")
        where, seconds, bits = done.stdout.split()
        assert Path(where).parent == package
        return float(seconds), bits

    compiling, bits = first_call(MORE)
    kept = list(home.rglob("*.nb?"))
    assert {p.suffix for p in kept} == {".nbi", ".nbc"}
    assert all(home / "cache" in p.parents for p in kept)
    later = [first_call() for _ in range(3)]
    assert {b for _, b in later} == {bits}
    assert min(seconds for seconds, _ in later) < min(1.0, 0.2 * compiling)
    assert sorted(home.rglob("*.nb?")) == sorted(kept)
    # an edit of any kernel is noticed, and of a module that kernels have constants from: what is kept belongs to other files
    given = {"env": env, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60}

    def known() -> int:
        return int(subprocess.run([sys.executable, "-c", KNOWN], **given, check=True).stdout)

    assert known() == 1
    for edited in (kernels / "elementary.py", package / "constants.py", package / "integrators.py"):
        content, when = edited.read_text(), edited.stat()
        edited.write_text(content + "# edited\n")
        assert known() == 0, edited.name
        edited.write_text(content)
        os.utime(edited, ns=(when.st_atime_ns, when.st_mtime_ns))
        assert known() == 1, edited.name


def test_kernels_have_constants_only_from_modules_that_the_cache_watches():
    watched = {path.stem for path in COPIED_FROM}
    for path in KERNELS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level > 1:
                assert (node.level, node.module) in {(3, name) for name in watched}, path.name
            assert not isinstance(node, ast.ImportFrom) or node.level or not (node.module or "").startswith("aitimestepper")


def test_a_folder_that_others_can_write_to_is_never_read_from(tmp_path, monkeypatch):
    """What is loaded from there runs as code: the kernels go to the user's own cache, or are compiled in every process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    (tmp_path / "kernel.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "__pycache__").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    double = importlib.import_module("kernel").double

    def kept_in() -> Path:
        made = numba.njit(cache=True)(double)
        keep_private(made._cache, double)
        assert made._cache._cache_file._cache_path == made._cache._cache_path
        assert str(made._cache._impl.locator.get_cache_path()) == made._cache._cache_path
        return Path(made._cache._cache_path)

    for mode, private in ((0o755, True), (0o777, False), (0o757, False)):
        (tmp_path / "__pycache__").chmod(mode)
        assert is_private(tmp_path / "__pycache__") == private
        assert (tmp_path / ("__pycache__" if private else "own")) in (kept_in(), *kept_in().parents), oct(mode)
    kept_in().chmod(0o777)
    with pytest.raises(RuntimeError, match="others can write to every folder"):
        kept_in()
