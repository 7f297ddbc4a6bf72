"""The flags of `aitimestepper ensemble`."""

from __future__ import annotations

from typing import Any

from .bench_arguments import command_parser

ENSEMBLE = """\
examples:
  aitimestepper ensemble triples.toml                    the table goes to the folder `triples`
  aitimestepper ensemble triples.toml -o first --resume   go on after Ctrl-C, an error or a power cut
  aitimestepper ensemble triples.toml --scheduler tcp://node1:8786
  aitimestepper ensemble inspect triples

triples.toml:
  systems = 10000
  seed = 1
  tol = 1e-5
  periods = 10                               # of the outermost orbit; or t_end = 500.0
  events = ["collision:radius=1e-3"]

  [hierarchy]                                # body k + 1 on orbit k about all bodies before it
  m1 = 1.0
  m2 = { uniform = [0.1, 1.0] }
  m3 = { choice = [0.1, 0.5], weights = [3, 1] }
  a1 = 1.0
  e1 = { thermal = [0.0, 0.9] }
  a2 = { loguniform = [5.0, 50.0] }
  e2 = { normal = [0.3, 0.05] }
  inc2 = { isotropic = [0.0, 0.7] }          # angles that are not given are isotropic

Instead of [hierarchy]: [scattering] with m1, m2 (a binary of a = 1 and e = 0 unless given) and m3, v (speed at infinity over
the critical one) and b, such as { disc = [0, 5] }; or source = "triple:0-100000", a family with its seeds; or source =
"problems.h5", a suite. function = "my.py:NAME" calls NAME(columns) on the arrays that were drawn, for correlations.

The table has a row a system: what was drawn, outcome, status, errors, steps, closest approach and events, in Parquet files that
pandas, polars and DuckDB read. Needs the extra ensemble (pyarrow); --scheduler the extra cluster (Dask). See
docs/ensembles.md."""


def add_ensemble(commands: Any) -> None:
    """Add the command `ensemble`."""
    parser = command_parser(commands, "ensemble", "run many small systems, as a table with a row a system", ENSEMBLE)
    parser.add_argument(
        "what", nargs="+", metavar="SPEC.toml", help="a specification; or `inspect FOLDER`: what is in a folder"
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", help="where the table goes (default: `out` of SPEC, or its name)")
    parser.add_argument("--resume", action="store_true", help="go on in a folder; nothing is done twice")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run the chunks on a cluster of Dask, such as tcp://node1:8786")
    parser.add_argument("--threads", type=int, metavar="N", help="largest number of threads (default: all; one on a cluster)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")
