"""The command line. Only this package prints, and only here do errors become exit codes."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence

from ..errors import UserError, on_one_line

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
# command -> module of this package, whose `run(request)` returns the exit code; loaded by name, so that no command imports
# the dependencies of another one
COMMANDS = {
    "train": "training",
    "simulate": "simulation",
    "both": "training",
    "report": "reporting",
    "inspect": "inspection",
    "bench": "benching",
    "ensemble": "ensembles",
    "sweep": "sweeping",
    "plot": "plotting",
    "completion": "completion",
    "doctor": "doctor",
}
LISTING = "listing"  # what --list-ic and --list-criteria of any command run


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; a user's mistake is one sentence on stderr and code 2, never a traceback.

    So are files that the system refuses, and memory that it has not: what was saved before is whole.
    """
    from .arguments import parse

    warnings.showwarning = _print_warning
    try:
        request = parse(sys.argv[1:] if argv is None else argv)
        module = importlib.import_module(f".{LISTING if request.listing else COMMANDS[request.command]}", __package__)
        return int(module.run(request))
    except UserError as error:
        return _refused(str(error))
    except MemoryError:
        return _refused("the memory does not suffice; ask for fewer bodies, systems or samples, or for a smaller network.")
    except KeyboardInterrupt:
        print("\naitimestepper: interrupted; what was saved before is whole.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has ended, so nobody would read an error either
        return EXIT_FAILED
    except OSError as error:
        file = "" if error.filename is None else f"{error.filename}: "
        return _refused(f"{file}{error.strerror or error}; check the name, the permissions and the free space.")


def _refused(sentence: str) -> int:
    print(f"aitimestepper: error: {on_one_line(sentence)}", file=sys.stderr)
    return EXIT_USAGE


def _print_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, UserWarning):
        print(f"aitimestepper: warning: {on_one_line(str(message))}", file=sys.stderr)
