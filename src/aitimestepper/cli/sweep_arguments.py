"""The flags of `aitimestepper sweep`."""

from __future__ import annotations

from typing import Any

from .bench_arguments import command_parser

SWEEP = """\
examples:
  aitimestepper sweep widths.toml                 give it again to go on after Ctrl-C, or with more trials
  aitimestepper sweep widths.toml --trials 50
  aitimestepper sweep widths.toml --storage postgresql://user@host/sweeps
  aitimestepper train --config runs/widths/best.toml

widths.toml:
  trials = 20

  [train]                       settings of every training
  judge = "run"
  epochs = 4

  [range]
  lr = { low = 1e-3, high = 2e-2, log = true }
  layers = [[16], [32], [16, 16]]

OUT_DIR/NAME gets a folder for each training, best.toml, sweep.png and the database sweep.db. Needs the extra sweep (Optuna).
docs/sweeps.md describes all keys."""


def add_sweep(commands: Any) -> None:
    """Add the command `sweep`."""
    parser = command_parser(commands, "sweep", "train over ranges of settings, and keep the best", SWEEP)
    parser.add_argument("spec", metavar="SPEC.toml", help="what is swept")
    parser.add_argument("--trials", type=int, metavar="N", help="number of trainings in all (default: that of SPEC, 20)")
    parser.add_argument("--storage", metavar="URL", help="database of the study (default: an SQLite file in its folder)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")
