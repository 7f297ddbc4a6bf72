"""The flags of the commands `plot`, `completion` and `doctor`."""

from __future__ import annotations

from typing import Any

from .bench_arguments import command_parser

SHELLS = ("bash", "zsh", "fish")
KINDS = {
    "orbits": "the paths of the bodies",
    "energy": "the relative energy error along time, and the tolerance",
    "steps": "the time steps along time",
    "elements": "osculating semi-major axes and eccentricities along time",
}
PLOT = """\
examples:
  aitimestepper plot orbits run.h5 -o orbits.pdf
  aitimestepper plot orbits solar.h5 --about Sun --axes xz -o side.svg
  aitimestepper plot elements triple.h5 --primary 0 1 -o outer.pdf        the third body about the centre of mass of two
  aitimestepper plot energy run.h5 -o energy.png --width 7

RUN is a file that simulate --output wrote, also while it grows. Needs the extra report (matplotlib). A PDF or SVG is vector
graphics whose text stays text. In Python: aitimestepper.plots.plot_orbits and so on, which return matplotlib axes."""


def add_plot(commands: Any) -> None:
    """Add the command `plot`."""
    parser = command_parser(commands, "plot", "draw a run for a paper: its orbits, energy, steps or elements", PLOT)
    parser.add_argument("kind", choices=list(KINDS), help="; ".join(f"{kind}: {words}" for kind, words in KINDS.items()))
    parser.add_argument("run", metavar="RUN.h5", help="the output file of a simulation")
    parser.add_argument("-o", "--output", metavar="FILE", help=".pdf, .png or .svg (default: RUN-KIND.pdf in this folder)")
    parser.add_argument("--system", type=int, default=0, metavar="N", help="number of the system (default: 0)")
    parser.add_argument("--axes", metavar="{xy,xz,yz}", help="orbits: the plane that is shown (default: xy)")
    parser.add_argument("--about", metavar="BODY", help="orbits: name or number of a body that is to rest at the origin")
    parser.add_argument("--pair", nargs=2, metavar="BODY", help="elements: the orbit of the second body about the first")
    parser.add_argument(
        "--primary",
        nargs="+",
        metavar="BODY",
        help="elements: what all others orbit; several: their centre of mass (default: the heaviest body)",
    )
    parser.add_argument("--width", type=float, default=3.4, metavar="INCHES", help="width (default: 3.4, a column)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if there is one")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")


COMPLETION = """\
examples:
  eval "$(aitimestepper completion bash)"                                          in ~/.bashrc
  eval "$(aitimestepper completion zsh)"                                           in ~/.zshrc, after compinit
  aitimestepper completion fish > ~/.config/fish/completions/aitimestepper.fish

Prints a script that completes commands, flags, and the names of initial conditions, criteria, integrators and families."""


def add_completion(commands: Any) -> None:
    """Add the command `completion`."""
    parser = command_parser(commands, "completion", "print a script with which a shell completes the command line", COMPLETION)
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")


DOCTOR = """\
Prints the versions of the program and of what it uses, cores, vector registers and GPU, the folder of the compiled kernels
and the networks of the package. Then it simulates for a few seconds and checks what can be known: the energy, an orbit whose
end is known, and that threads and neighbours in a register change no bit. The exit code is 0 if everything passed, else 1."""


def add_doctor(commands: Any) -> None:
    """Add the command `doctor`."""
    parser = command_parser(commands, "doctor", "check the installation, with a self-test of a few seconds", DOCTOR)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")
