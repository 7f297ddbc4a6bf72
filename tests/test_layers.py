"""The layers: imports point downwards, heavy libraries live in one place each, and only the command line has side effects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aitimestepper

ROOT = Path(aitimestepper.__file__).parent
PACKAGE = "aitimestepper"
# from top to bottom; the parts of one layer do not import each other
LAYERS = (
    ("__main__",),
    ("cli",),
    ("bench", "ensembles", "gym", "rebound", "report", "training"),
    ("evaluation", "differentiable"),
    ("simulate",),
    ("policy",),
    ("criteria", "events"),
    ("initial", "models"),
    ("decided", "integrators", "hierarchy"),
    ("bodies",),
    ("inputs", "fields"),
    ("elements", "quantities"),
    ("binding", "conics", "measured", "plugins", "config"),
    ("units",),
    ("validation",),
    ("citations",),
    ("features", "specs", "sums", "constants", "files", "bibliography"),
    ("errors", "html", "_version"),
)
DEPTH = {part: depth for depth, parts in enumerate(LAYERS) for part in parts}
HOMES = {
    "torch": ("differentiable/", "training/"),
    "numba": ("simulate/kernels/", "rebound/"),
    "llvmlite": ("simulate/kernels/", "rebound/"),
    "h5py": ("files/hdf5.py", "simulate/snapshots/hdf5.py", "initial/suite_file.py"),
    "rich": ("cli/", "simulate/bar.py", "ensembles/bar.py"),
    "rebound": ("bench/rebound_runs.py", "inputs/rebound_archive.py", "rebound/"),
    "astropy": ("quantities.py",),
    "heyoka": ("bench/heyoka_runs.py",),
    "matplotlib": ("report/",),
    "plotly": ("report/",),
    "imageio": ("report/",),
    "imageio_ffmpeg": ("report/",),
    "wandb": ("training/metrics.py",),
    "pyarrow": ("ensembles/",),
    "dask": ("ensembles/",),
    "distributed": ("ensembles/",),
    "optuna": ("training/study.py",),
    "gymnasium": ("gym/",),
}
DRAWS = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "bernoulli",
    "multinomial",
    "rand_like",
    "randn_like",
    "randint_like",
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def part_of(module: str) -> str:
    """Return the part of the package that a file belongs to: `criteria/base.py` -> criteria, `config.py` -> config."""
    return module.split("/")[0].removesuffix(".py")


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Return (line, dotted name) of everything that a module imports, wherever in it; relative names made absolute."""
    folder = [PACKAGE, *module.split("/")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            path = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{path}.{alias.name}") for alias in node.names)


def upward_imports(source: str, module: str) -> list[str]:
    mine, wrong = part_of(module), []
    for line, name in imports(source, module):
        if name.split(".")[0] != PACKAGE:
            continue
        other = name.split(".")[1] if name.count(".") else "__init__"
        if other == mine:
            continue
        if not DEPTH.get(other, -1) > DEPTH[mine]:
            wrong.append(f"{module}:{line} imports {name}: {mine} may not look at {other}")
    return wrong


def misplaced_libraries(source: str, module: str) -> list[str]:
    return [
        f"{module}:{line} imports {name}, which belongs into {' or '.join(HOMES[name.split('.')[0]])}"
        for line, name in imports(source, module)
        if name.split(".")[0] in HOMES and not module.startswith(HOMES[name.split(".")[0]])
    ]


def side_effects(source: str, module: str) -> list[str]:
    """Prints, global seeds, global torch settings, and draws from a global random stream."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {k.arg for k in node.keywords}
            seeds = name in ("torch.manual_seed", "torch.seed", "random.seed", "np.random.seed", "numpy.random.seed")
            seeds = seeds or name.startswith(("torch.cuda.manual_seed", "torch.random.manual_seed", "torch.random.seed"))
            settings = name.startswith(
                ("torch.set_", "torch.use_deterministic", "warnings.filterwarnings", "warnings.simplefilter")
            )
            draws = name.startswith("torch.") and name.split(".")[-1] in DRAWS and "generator" not in keywords
            numpy_draws = name.startswith(("np.random.", "numpy.random.")) and name.split(".")[-1] not in (
                "default_rng",
                "Generator",
                "Philox",
                "SeedSequence",
                "RandomState",
            )
            if name in ("print", "builtins.print", "sys.stdout.write") or seeds or settings or draws or numpy_draws:
                found.append(f"{module}:{node.lineno} {name}(...)")
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [
                f"{module}:{node.lineno} sets {ast.unparse(t)}" for t in targets if ast.unparse(t).startswith("torch.backends.")
            ]
    return found


def test_every_part_of_the_package_has_a_layer():
    assert {part_of(m) for m in MODULES} - {"__init__"} <= set(DEPTH)
    assert len(MODULES) > 25


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__init__.py"])
def test_imports_point_downwards(module):
    assert upward_imports((ROOT / module).read_text(), module) == []


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_have_one_home_each(module):
    assert misplaced_libraries((ROOT / module).read_text(), module) == []


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) not in ("cli", "__main__")])
def test_only_the_command_line_prints_seeds_and_sets(module):
    assert side_effects((ROOT / module).read_text(), module) == []


@pytest.mark.parametrize(
    ("check", "module", "source", "wrong"),
    [
        (upward_imports, "bodies.py", "from .errors import UserError", False),
        (upward_imports, "fields/halos.py", "from ..bodies import Bodies", True),
        (upward_imports, "fields/stored.py", "from ..config import Config", False),
        (upward_imports, "hierarchy.py", "from .bodies import Bodies", False),
        (upward_imports, "config.py", "from .files import read_bytes", False),
        (upward_imports, "files/reading.py", "from ..config import Config", True),
        (upward_imports, "criteria/base.py", "def f():\n    from ..policy import choose", True),
        (upward_imports, "criteria/base.py", "from aitimestepper import Config", True),
        (upward_imports, "criteria/learned.py", "from ..models import Model", False),
        (upward_imports, "models/__init__.py", "from ..initial.named import kepler", True),
        (upward_imports, "policy.py", "from .criteria.base import Criterion", False),
        (upward_imports, "policy.py", "from .simulate.engine import simulate", True),
        (upward_imports, "simulate/engine.py", "from ..differentiable.loop import simulate", True),
        (upward_imports, "simulate/engine.py", "from .batch import Batch", False),
        (upward_imports, "differentiable/loop.py", "from ..simulate.result import SimulationResult", False),
        (upward_imports, "evaluation/runs.py", "from ..differentiable.particle import ParticleTorch", True),
        (upward_imports, "training/epochs.py", "import aitimestepper.bench.steps", True),
        (upward_imports, "training/epochs.py", "from .. import simulate", False),
        (upward_imports, "bench/steps.py", "from ..report.style import x", True),
        (upward_imports, "bench/steps.py", "from ..evaluation.runs import measure", False),
        (upward_imports, "ensembles/rows.py", "from ..bench.steps import step_quality", True),
        (upward_imports, "ensembles/rows.py", "from ..simulate.engine import simulate", False),
        (misplaced_libraries, "simulate/engine.py", "import numba", True),
        (misplaced_libraries, "simulate/kernels/jit.py", "from numba import njit", False),
        (misplaced_libraries, "rebound/attach.py", "import rebound", False),
        (misplaced_libraries, "simulate/engine.py", "import rebound", True),
        (misplaced_libraries, "simulate/engine.py", "def f():\n    import torch", True),
        (misplaced_libraries, "differentiable/loop.py", "import torch", False),
        (misplaced_libraries, "training/runs/descent.py", "from torch import nn", False),
        (misplaced_libraries, "cli/inspection.py", "import matplotlib.pyplot as plt", True),
        (misplaced_libraries, "report/figures.py", "import matplotlib.pyplot as plt", False),
        (misplaced_libraries, "training/epochs.py", "def f():\n    import wandb", True),
        (misplaced_libraries, "training/metrics.py", "import wandb", False),
        (misplaced_libraries, "training/runs/descent.py", "from dask.distributed import Client", True),
        (misplaced_libraries, "ensembles/cluster.py", "from dask.distributed import Client", False),
        (side_effects, "x.py", "print('hello')", True),
        (side_effects, "x.py", "torch.manual_seed(0)", True),
        (side_effects, "x.py", "np.random.seed(0)", True),
        (side_effects, "x.py", "torch.set_default_dtype(torch.float64)", True),
        (side_effects, "x.py", "torch.set_num_threads(1)", True),
        (side_effects, "x.py", "torch.backends.cudnn.benchmark = True", True),
        (side_effects, "x.py", "x = torch.rand(3)", True),
        (side_effects, "x.py", "x = np.random.normal(3)", True),
        (side_effects, "x.py", "x = torch.rand(3, generator=g); g.manual_seed(3); r = np.random.default_rng(3)", False),
        (side_effects, "x.py", "console.print('hello'); blueprint()", False),
    ],
)
def test_the_checks_see_what_they_are_meant_to(check, module, source, wrong):
    assert bool(check(source, module)) is wrong
