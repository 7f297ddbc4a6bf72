"""The flags of `aitimestepper tune`."""

from __future__ import annotations

from typing import Any

from ..initial.families import FAMILIES, STANDARD
from ..integrators import COMPOSITIONS
from .bench_arguments import command_parser

WORDS = "train a learned step on whole runs, for an integrator and tolerances, or for your own problems"
EPILOG = """\
examples:
  aitimestepper tune --ic-family my.py --tol 1e-5               for the problems that a function in my.py makes; minutes
  aitimestepper tune --integrator kahan_li6 --save-name sixth      for all families of the package
  aitimestepper tune --start default --integrator leapfrog --tol 1e-3 --ic-family kepler --iterations 500
  aitimestepper simulate --model sixth --tol 1e-6 --ic burrau --t-end 60

First it learns from reference trajectories, on which the cost and the error of any step can be guessed without a run, with
gradients (--iterations). Then it may search on whole runs, with CMA-ES (--generations). Then it is calibrated: asked for a
tolerance, at least nine in ten problems of each family shall keep it. Problems are drawn from `train`; what is shown on the
way is measured on `validation`: force evaluations, and how many problems keep the tolerance, of all and of the worst family.
The same command goes on where it was stopped. my.py holds functions (rng, dim) -> (Bodies, t_end); see docs/bench.md."""


def add_tune(commands: Any) -> None:
    """`tune`."""
    parser = command_parser(commands, "tune", WORDS, EPILOG)
    what = parser.add_argument_group("what for")
    what.add_argument(
        "--integrator",
        metavar="{" + ",".join(COMPOSITIONS) + "}",
        help="whose steps (default: the cheapest for --tol, leapfrog)",
    )
    what.add_argument(
        "--tol", nargs="+", type=float, metavar="TOL", help="tolerances (default: those an integrator is good for)"
    )
    what.add_argument(
        "--ic-family",
        nargs="+",
        metavar="NAME",
        default=list(STANDARD),
        help=f"of {', '.join(FAMILIES)}; FILE.py[:NAME]: functions of your own (default: {' '.join(STANDARD)})",
    )
    network = parser.add_argument_group("the network")
    network.add_argument("--layers", nargs="+", type=int, metavar="N", help="widths of its hidden layers (default: 16)")
    network.add_argument("--start", metavar="MODEL", help="begin with this model: a run, a checkpoint, or default")
    _add_manner(parser.add_argument_group("how long"), parser.add_argument_group("run"))


def _add_manner(how: Any, run: Any) -> None:
    how.add_argument("--problems", type=int, metavar="N", help="reference trajectories of each family (default: 60)")
    how.add_argument("--iterations", type=int, metavar="N", help="of learning from them (default: 2100)")
    how.add_argument("--generations", type=int, metavar="N", help="of searching on whole runs (default: 0)")
    how.add_argument(
        "--calibration", type=int, metavar="N", help="problems of each family to calibrate on; 0: none (default: 128)"
    )
    how.add_argument("--seed", type=int, metavar="N", help="of all that is drawn (default: 1)")
    how.add_argument("--threads", type=int, metavar="N", help="runs side by side (default: all cores)")
    run.add_argument("--save-name", metavar="NAME", help="the model goes to OUT_DIR/NAME (default: tune-INTEGRATOR)")
    run.add_argument("--out-dir", metavar="DIR", default="runs", help="(default: runs)")
    run.add_argument("--overwrite", action="store_true", help="replace the model if there is one, and begin anew")
    run.add_argument("--json", action="store_true", help="print the card of the model as JSON")
    run.add_argument("--quiet", action="store_true", help="no progress")
