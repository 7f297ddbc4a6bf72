"""The flags of `aitimestepper bench`."""

from __future__ import annotations

import argparse
from typing import Any

from ..initial.families import FAMILIES, STANDARD

WORDS = {
    "steps": "measure which rule for the step keeps a tolerance on problems it was not calibrated on, and at what cost",
    "curves": "measure error against force evaluations and time, beside REBOUND and heyoka",
    "rl": "measure on the test set of a stepper trained by reinforcement learning, with Hermite 4",
    "longrun": "measure the drift over a thousand orbits, and what is lost when time is reversed",
    "suite": "write problems to a file, or describe such a file",
    "compare": "show what got better or worse between two results, beyond noise",
}
EPILOG = {
    "": """\
examples:
  aitimestepper bench steps --quick
  aitimestepper bench steps --criteria freefall prs23 learned:runs/first --integrators leapfrog --tol 1e-3 1e-5
  aitimestepper bench steps --criteria my.py:MyRule freefall --families kepler my_family.py:binaries
  aitimestepper bench suite --families kepler triple --split test --count 100 --write suite.h5
  aitimestepper bench compare before.json after.json

Each study writes one JSON file (docs/bench.md describes it) and prints a table. A study that was stopped continues when the
same command is given again.""",
    "steps": """\
examples:
  aitimestepper bench steps                       all classical rules; about ten minutes on two cores
  aitimestepper bench steps --quick               leapfrog and blanes_moan4 on fewer problems, learned too; a minute
  aitimestepper bench steps --criteria learned:runs/first freefall --integrators leapfrog
  aitimestepper bench steps --suite mine.h5 --train-suite mine_too.h5

A rule with a free constant is calibrated on problems of `train` until 90 % of them comply (their largest energy error stays
below the tolerance), and then measured on `test`. A rule that takes a tolerance is also measured with that tolerance as asked.
`fitted`: at the constant with which 90 % of the measured problems comply. `best`: at the best constant of each problem,
which is known in hindsight only (mode `hindsight` in the JSON).""",
    "curves": """\
Give a trained network as --criteria learned:RUN. The figures are written beside the JSON file. The other codes, where they are
installed and suit the problem: heyoka, and REBOUND's IAS15 in four modes, leapfrogs of order 2, 4, 6, 8, WHFast and TRACE.""",
    "rl": "Three suns, 30 years, seeds 0-99 (Saz Ulibarrena & Portegies Zwart 2025, arXiv 2502.12809).",
    "longrun": "All rules use the same number of force evaluations per orbit.",
    "suite": """\
examples:
  aitimestepper bench suite --families kepler --count 10 --write kepler.h5
  aitimestepper bench suite kepler.h5
  aitimestepper bench suite                       the families and reference problems that there are

A file made elsewhere needs mass (P, N), position and velocity (P, N, axes) and t_end (P,); bodies, G, softening, name and
family are read too if they are there.""",
    "compare": """\
Results are compared problem by problem where both measured the same ones. With --strict the exit code is 1 if something got
worse by four standard errors: among hundreds of comparisons some are two by chance.""",
}


def add_bench(commands: Any) -> None:
    """Add the command `bench` and its studies."""
    parser = command_parser(commands, "bench", "measure which step is best", EPILOG[""])
    studies = parser.add_subparsers(dest="study", required=True, metavar="{" + ",".join(WORDS) + "}")
    for study in ("steps", "curves", "rl", "longrun"):
        _add_study(command_parser(studies, study, WORDS[study], EPILOG[study]), study)
    suite = command_parser(studies, "suite", WORDS["suite"], EPILOG["suite"])
    suite.add_argument("file", nargs="?", metavar="FILE.h5", help="describe this file")
    _add_problems(suite)
    suite.add_argument("--count", type=int, default=24, metavar="N", help="number of problems of each family (default: 24)")
    suite.add_argument("--write", metavar="FILE.h5", help="write the problems to this file")
    suite.add_argument("--overwrite", action="store_true", help="replace the file if there is one")
    compare = command_parser(studies, "compare", WORDS["compare"], EPILOG["compare"])
    compare.add_argument("before", metavar="BEFORE.json")
    compare.add_argument("after", metavar="AFTER.json")
    compare.add_argument("--all", action="store_true", help="also show what stayed the same")
    compare.add_argument("--strict", action="store_true", help="exit with code 1 if something got worse")


def command_parser(commands: Any, name: str, words: str, epilog: str) -> Any:
    """Return the parser of a command whose flags are no settings."""
    return commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_study(parser: Any, study: str) -> None:
    _add_contenders(parser.add_argument_group("rules and integrators"))
    group = parser.add_argument_group("problems and tolerances")
    if study == "steps":
        _add_problems(group)
        _add_samples(group)
    if study == "curves":
        group.add_argument("--problems", nargs="+", metavar="NAME", help="reference problems (`bench suite` lists them)")
        group.add_argument("--no-peers", action="store_true", help="leave out REBOUND and heyoka")
    if study in ("steps", "curves"):
        group.add_argument("--tol", nargs="+", type=float, metavar="TOL", help="tolerances (default: those of each integrator)")
    if study == "longrun":
        group.add_argument("--orbits", type=int, metavar="N", help="largest number of orbits of every problem (default: 1000)")
        group.add_argument("--count", type=int, metavar="N", help="number of problems of the family longrun (default: 3)")
        group.add_argument("--split", metavar="NAME", help="split that these problems come from (default: test)")
    if study in ("longrun", "rl"):
        each = "per orbit (default: 500)" if study == "longrun" else "in the median (default: 11528)"
        group.add_argument("--forces", type=float, metavar="N", help=f"force evaluations of every rule, {each}")
    _add_execution(parser.add_argument_group("execution and output"), study)


def _add_contenders(group: Any) -> None:
    group.add_argument(
        "--criteria",
        nargs="+",
        metavar="NAME",
        help="rules by name; learned: the networks of the package; learned:RUN: yours; FILE.py:NAME: a rule of your own "
        "(default: the classical rules, with --quick learned too)",
    )
    group.add_argument(
        "--integrators",
        nargs="+",
        metavar="NAME",
        help="integrators, such as leapfrog, chin4, blanes_moan4, blanes_moan6, hermite4",
    )
    variants = "forms of each rule: plain, symmetrized, huayno, hmm (default: the first two)"
    group.add_argument("--variants", nargs="+", metavar="NAME", help=variants)


def _add_samples(group: Any) -> None:
    group.add_argument("--suite", metavar="FILE.h5", help="measure on the problems in this file")
    group.add_argument("--train-suite", metavar="FILE.h5", help="calibrate on the problems in this file")
    group.add_argument(
        "--train", type=int, metavar="N", help="problems of each family to calibrate on (default: 16; quick: 6; full: 24)"
    )
    group.add_argument(
        "--test", type=int, metavar="N", help="problems of each family to measure on (default: 16; quick: 8; full: 24)"
    )
    group.add_argument("--share", type=float, default=0.9, help="share of the problems that shall comply (default: 0.9)")


def _add_execution(group: Any, study: str) -> None:
    if study == "steps":
        group.add_argument("--full", action="store_true", help="more problems, tolerances 1e-2 to 1e-8; half an hour")
        group.add_argument(
            "--budget", type=int, metavar="N", help="largest number of force evaluations of a run (default: 300000)"
        )
    group.add_argument("--quick", action="store_true", help="fewer problems, for a first impression in a minute")
    group.add_argument("--threads", type=int, metavar="N", help="number of runs side by side (default: all cores)")
    group.add_argument("--out", metavar="FILE.json", help=f"file for the result (default: runs/bench/{study}.json)")
    group.add_argument("--overwrite", action="store_true", help="replace the result if there is one")
    group.add_argument("--fresh", action="store_true", help="begin anew where a study was stopped")
    group.add_argument("--json", action="store_true", help="print the JSON instead of a table")
    group.add_argument("--quiet", action="store_true", help="no progress")


def _add_problems(parser: Any) -> None:
    parser.add_argument(
        "--families",
        nargs="+",
        metavar="NAME",
        default=list(STANDARD),
        help=f"families of problems, from {', '.join(FAMILIES)}; FILE.py[:NAME]: functions (rng, dim) of your own "
        f"(default: {' '.join(STANDARD)})",
    )
    parser.add_argument(
        "--split", default="test", help="split that the problems come from: train, validation or test (default: test)"
    )
    parser.add_argument("--dim", type=int, default=3, help="number of axes, 2 or 3 (default: 3)")
