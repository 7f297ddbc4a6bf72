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
  aitimestepper tune --integrator kahan_li6 --save-name sixth   for all families of the package
  aitimestepper tune --start default --integrator leapfrog --tol 1e-3 --ic-family kepler --iterations 500
  aitimestepper simulate --model sixth --tol 1e-6 --ic burrau --t-end 60

The network learns from reference trajectories, along which the cost and the error of any choice of steps can be predicted
with gradients, without another run. Then it is calibrated on true runs: asked for a tolerance, at least nine in ten problems of
each family shall stay within it. Problems come from the split `train`; what is printed on the way is measured on `validation`:
force evaluations, and the share of problems within the tolerance, of all and of the worst family. A training that was stopped
continues when the same command is given again. my.py holds functions (rng, dim) -> (Bodies, t_end); see docs/bench.md."""


def add_tune(commands: Any) -> None:
    """Add the command `tune`."""
    parser = command_parser(commands, "tune", WORDS, EPILOG)
    aim = parser.add_argument_group("integrator, tolerances and problems")
    aim.add_argument(
        "--integrator",
        metavar="{" + ",".join(COMPOSITIONS) + "}",
        help="integrator to train for (default: the cheapest for --tol, else leapfrog)",
    )
    aim.add_argument("--tol", nargs="+", type=float, metavar="TOL", help="tolerances (default: those that suit the integrator)")
    aim.add_argument(
        "--ic-family",
        nargs="+",
        metavar="NAME",
        default=list(STANDARD),
        help=f"families of problems, from {', '.join(FAMILIES)}; FILE.py[:NAME]: functions of your own "
        f"(default: {' '.join(STANDARD)})",
    )
    network = parser.add_argument_group("network")
    network.add_argument("--layers", nargs="+", type=int, metavar="N", help="widths of its hidden layers (default: 16)")
    network.add_argument("--start", metavar="MODEL", help="begin with this model: a run, a model file, or default")
    _add_effort(parser.add_argument_group("effort"))
    _add_output(parser.add_argument_group("run"))


def _add_effort(effort: Any) -> None:
    effort.add_argument("--problems", type=int, metavar="N", help="reference trajectories of each family (default: 60)")
    effort.add_argument("--iterations", type=int, metavar="N", help="iterations of learning from them (default: 2100)")
    effort.add_argument(
        "--calibration", type=int, metavar="N", help="problems of each family to calibrate on; 0: none (default: 128)"
    )
    effort.add_argument("--seed", type=int, metavar="N", help="seed of everything that is random (default: 1)")
    effort.add_argument("--threads", type=int, metavar="N", help="number of runs side by side (default: all cores)")


def _add_output(run: Any) -> None:
    run.add_argument("--save-name", metavar="NAME", help="the model goes to OUT_DIR/NAME (default: tune-INTEGRATOR)")
    run.add_argument("--out-dir", metavar="DIR", default="runs", help="folder that holds the runs (default: runs)")
    run.add_argument("--overwrite", action="store_true", help="replace the model if there is one, and begin anew")
    run.add_argument("--json", action="store_true", help="print the card of the model as JSON")
    run.add_argument("--quiet", action="store_true", help="no progress")
