"""The command line: one entry point, three modes. Only this package prints, and only here are errors turned into exit codes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from ..errors import UserError

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. What a user can cause is one sentence on stderr and code 2, never a traceback."""
    from .arguments import parse

    warnings.showwarning = _say_warning
    try:
        request = parse(sys.argv[1:] if argv is None else argv)
        from .commands import run_command

        return run_command(request)
    except UserError as error:
        print(f"aitimestepper: error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("\naitimestepper: interrupted; what was saved before is whole.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away: nobody is left to tell
        return EXIT_FAILED


def _say_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, UserWarning):
        print(f"aitimestepper: warning: {message}", file=sys.stderr)
