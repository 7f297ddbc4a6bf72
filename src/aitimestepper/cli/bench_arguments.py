"""The flags of `aitimestepper bench`."""

from __future__ import annotations

import argparse
from typing import Any

from ..initial.families import FAMILIES, STANDARD

WORDS = {
    "steps": "which step keeps a tolerance, on problems it was not calibrated on, and at what cost",
    "curves": "error against force evaluations and time, beside REBOUND and heyoka",
    "rl": "the test set of the reinforcement-learning stepper, Hermite 4",
    "longrun": "drift over a thousand orbits, and what is lost when time is reversed",
    "suite": "write problems to a file, or say what is in one",
    "compare": "what got better or worse between two results, beyond noise",
}
EPILOG = {
    "": """\
examples:
  aitimestepper bench steps --quick
  aitimestepper bench steps --criteria freefall prs23 learned:runs/first --integrators leapfrog --tol 1e-3 1e-5
  aitimestepper bench steps --criteria my.py:MyRule freefall --families kepler my_family.py:binaries
  aitimestepper bench suite --families kepler triple --split test --count 100 --write suite.h5
  aitimestepper bench compare before.json after.json

Each study writes one JSON (docs/bench.md describes it) and prints a table. A study that was stopped goes on where it was when
the same command is given again.""",
    "steps": """\
examples:
  aitimestepper bench steps                       all classical rules; about ten minutes on two cores
  aitimestepper bench steps --quick               leapfrog and order 6 on fewer problems; a minute
  aitimestepper bench steps --criteria learned:runs/first freefall --integrators leapfrog
  aitimestepper bench steps --suite mine.h5 --train-suite mine_too.h5

A rule with a free constant is calibrated on problems of `train` until 90 % of them comply (their largest energy error stays
below the tolerance) and then measured on `test`. A rule that takes a tolerance is also measured as it is asked.
`fitted`: at the constant with which 90 % of the measured problems comply. `hindsight`: the best constant of each problem.""",
    "curves": "A trained network: --criteria learned:RUN. The figures lie beside the JSON.",
    "rl": "Three suns, 30 years, seeds 0-99 (Saz Ulibarrena & Portegies Zwart 2025, arXiv 2502.12809).",
    "longrun": "All rules spend the same number of force evaluations an orbit.",
    "suite": """\
examples:
  aitimestepper bench suite --families kepler --count 10 --write kepler.h5
  aitimestepper bench suite kepler.h5
  aitimestepper bench suite                       what families and reference problems there are

A file made elsewhere needs mass (P, N), position and velocity (P, N, axes) and t_end (P,); also read are bodies, G,
softening, name, family.""",
    "compare": """\
Problem by problem where both ran the same ones. With --strict the exit code is 1 if something got worse by four standard
errors: with hundreds of comparisons some are two by chance.""",
}


def add_bench(commands: Any) -> None:
    """`bench` and its studies."""
    words = "measure which step is best"
    parser = command_parser(commands, "bench", words, EPILOG[""])
    studies = parser.add_subparsers(dest="study", required=True, metavar="{" + ",".join(WORDS) + "}")
    for study in ("steps", "curves", "rl", "longrun"):
        _add_study(command_parser(studies, study, WORDS[study], EPILOG[study]), study)
    suite = command_parser(studies, "suite", WORDS["suite"], EPILOG["suite"])
    suite.add_argument("file", nargs="?", metavar="FILE.h5", help="say what is in this file")
    _add_problems(suite)
    suite.add_argument("--count", type=int, default=24, metavar="N", help="problems of each family (default: 24)")
    suite.add_argument("--write", metavar="FILE.h5", help="write the problems to this file")
    suite.add_argument("--overwrite", action="store_true", help="replace the file if there is one")
    compare = command_parser(studies, "compare", WORDS["compare"], EPILOG["compare"])
    compare.add_argument("before", metavar="BEFORE.json")
    compare.add_argument("after", metavar="AFTER.json")
    compare.add_argument("--all", action="store_true", help="also what stayed the same")
    compare.add_argument("--strict", action="store_true", help="exit with code 1 if something got worse")


def command_parser(commands: Any, name: str, words: str, epilog: str) -> Any:
    """A command whose flags are no settings."""
    return commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_study(parser: Any, study: str) -> None:
    _add_contenders(parser.add_argument_group("who is measured"))
    what = parser.add_argument_group("on what")
    if study == "steps":
        _add_problems(what)
        _add_samples(what)
    if study == "curves":
        what.add_argument("--problems", nargs="+", metavar="NAME", help="reference problems (`bench suite` lists them)")
        what.add_argument("--no-peers", action="store_true", help="without REBOUND and heyoka")
    if study in ("steps", "curves"):
        what.add_argument("--tol", nargs="+", type=float, metavar="TOL", help="tolerances (default: by integrator)")
    if study == "longrun":
        what.add_argument("--orbits", type=int, metavar="N", help="of every problem, at most (default: 1000)")
        what.add_argument("--count", type=int, metavar="N", help="problems of the family longrun (default: 3)")
        what.add_argument("--split", metavar="NAME", help="of which numbers these are (default: test)")
    if study in ("longrun", "rl"):
        each = "an orbit (default: 500)" if study == "longrun" else "in the median (default: 11528)"
        what.add_argument("--forces", type=float, metavar="N", help=f"force evaluations that everyone spends {each}")
    _add_manner(parser.add_argument_group("how"), study)


def _add_contenders(who: Any) -> None:
    who.add_argument(
        "--criteria",
        nargs="+",
        metavar="NAME",
        help="by name; learned: the package's networks; learned:RUN; FILE.py:CLASS: your own (default: the classical ones)",
    )
    who.add_argument(
        "--integrators", nargs="+", metavar="NAME", help="such as leapfrog, suzuki4, kahan_li6, kahan_li8, hermite4"
    )
    variants = "plain, symmetrized, huayno, hmm (default: the first two)"
    who.add_argument("--variants", nargs="+", metavar="NAME", help=variants)


def _add_samples(what: Any) -> None:
    what.add_argument("--suite", metavar="FILE.h5", help="measure on the problems in this file")
    what.add_argument("--train-suite", metavar="FILE.h5", help="calibrate on the problems in this file")
    what.add_argument(
        "--train", type=int, metavar="N", help="problems a family to calibrate on (default: 16; quick: 6; full: 24)"
    )
    what.add_argument("--test", type=int, metavar="N", help="problems a family to measure on (default: 16; quick: 8; full: 24)")
    what.add_argument("--share", type=float, default=0.9, help="of the problems that shall comply (default: 0.9)")


def _add_manner(how: Any, study: str) -> None:
    if study == "steps":
        how.add_argument("--full", action="store_true", help="more problems, tolerances 1e-2 to 1e-8; half an hour")
        how.add_argument("--budget", type=int, metavar="N", help="most force evaluations of a run (default: 300000)")
    how.add_argument("--quick", action="store_true", help="a look, in a minute")
    how.add_argument("--threads", type=int, metavar="N", help="runs side by side (default: all cores)")
    how.add_argument("--out", metavar="FILE.json", help=f"the result (default: runs/bench/{study}.json)")
    how.add_argument("--overwrite", action="store_true", help="replace the result if there is one")
    how.add_argument("--fresh", action="store_true", help="do not go on with a study that was stopped")
    how.add_argument("--json", action="store_true", help="print the JSON instead of a table")
    how.add_argument("--quiet", action="store_true", help="no progress")


def _add_problems(parser: Any) -> None:
    parser.add_argument(
        "--families",
        nargs="+",
        metavar="NAME",
        default=list(STANDARD),
        help=f"of {', '.join(FAMILIES)}; FILE.py[:NAME]: functions (rng, dim) of your own (default: {' '.join(STANDARD)})",
    )
    parser.add_argument("--split", default="test", help="train, validation or test: which numbers are drawn (default: test)")
    parser.add_argument("--dim", type=int, default=3, help="2 or 3 axes (default: 3)")
