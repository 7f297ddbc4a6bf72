"""`aitimestepper doctor`: what the program runs on, and a self-test."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from .._version import __version__
from ..errors import LONGEST, on_one_line
from ..simulate.threads import available_cores
from .arguments import Request
from .self_test import CHECKS, checks
from .terminal import print_json, print_rows, task

NEEDED = ("numpy", "numba", "llvmlite", "h5py", "rich")
# distributions that add something, and the extra of this package that installs them
OPTIONAL = {
    "torch": "train",
    "matplotlib": "report",
    "imageio-ffmpeg": "report",
    "wandb": "wandb",
    "optuna": "sweep",
    "rebound": "rebound",
    "heyoka": "bench",
    "astropy": "astropy",
    "pandas": "pandas",
    "pyarrow": "ensemble",
    "dask": "cluster",
    "gymnasium": "gym",
}
EXIT_FAILED = 1


def run(request: Request) -> int:
    """Describe the installation, test it, print the outcome, and return the exit code."""
    assert request.options is not None
    as_json = request.options.json or not sys.stdout.isatty()
    content = examine(quiet=as_json)
    if as_json:
        print_json(content)
    else:
        print_rows(_rows(content), ("kernels",))
    return 0 if content["passed"] else EXIT_FAILED


def examine(quiet: bool = True) -> dict[str, Any]:
    """Return the description of the installation and the outcome of the self-test as JSON values."""
    from ..simulate.kernels.cache import kernel_cache, processor
    from ..simulate.kernels.registers import lane_width

    content: dict[str, Any] = {
        "versions": {"aitimestepper": __version__, "python": platform.python_version(), **{n: _version(n) for n in NEEDED}},
        "optional": {name: _version(name) for name in OPTIONAL},
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": available_cores(),
        "vector_width": lane_width(),
        "gpu": _gpu(),
    }
    began, found = time.perf_counter(), []
    with task("self-test", quiet) as progress:
        progress(0, len(CHECKS), "" if kernel_cache().compiled else "compiling for half a minute")
        for check in checks():
            found.append(check._asdict())
            progress(len(found), len(CHECKS), check.name)
    cache = kernel_cache()
    folder = None if cache.folder is None else str(cache.folder)
    content |= {
        "kernels": {**cache._asdict(), "folder": folder},
        "checks": found,
        "seconds": round(time.perf_counter() - began, 3),
    }
    return {**content, "passed": all(check["passed"] for check in found)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Return the GPU in words, or None without torch: only a training uses one."""
    if find_spec("torch") is None:
        return None
    try:
        from ..differentiable.devices import gpu_words

        return gpu_words()
    except Exception as error:  # whatever is wrong with its libraries or the driver
        return f"not found: PyTorch does not load ({on_one_line(str(error))[:LONGEST]})"


def _rows(c: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names and words, the self-test last."""
    missing: dict[str, list[str]] = {}
    for name in (name for name, found in c["optional"].items() if found is None):
        missing.setdefault(OPTIONAL[name], []).append(name)
    rows = [("versions", ", ".join(f"{name} {found or 'MISSING'}" for name, found in c["versions"].items()))]
    if there := [f"{name} {found}" for name, found in c["optional"].items() if found is not None]:
        rows.append(("optional", ", ".join(there)))
    rows += [("not installed", f"{' and '.join(n)}: pip install 'aitimestepper[{extra}]'") for extra, n in missing.items()]
    width = c["vector_width"]
    rows += [
        ("processor", f"{c['processor']}, {c['cores']} cores for this process, {c['platform']}"),
        ("registers", f"{width} numbers of double precision: {width} systems of few bodies run side by side"),
        ("GPU", c["gpu"] or "not looked for: only a training uses one, and needs PyTorch"),
        ("kernels", _kernels(c["kernels"])),
    ]
    rows += [(check["name"], f"{'PASS' if check['passed'] else 'FAIL'}  {check['words']}") for check in c["checks"]]
    failed = sum(not check["passed"] for check in c["checks"])
    rows.append(("self-test", f"{f'{failed} FAILED' if failed else 'all passed'}, in {c['seconds']:.1f} s"))
    return rows


def _kernels(k: dict[str, Any]) -> str:
    if k["folder"] is None:
        return "kept nowhere: every process compiles them for half a minute; make the user's cache folder writable"
    state = f"{k['compiled']} compiled" if k["compiled"] else "not compiled yet: the first run does so, in half a minute"
    words = f"{k['folder']}: {state}"
    if not k["writable"]:
        words += "; it cannot be written to"
    if not k["private"]:
        words += "; OTHERS CAN WRITE TO IT, and what lies there runs as code: chmod go-w it"
    return words
