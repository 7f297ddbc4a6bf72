"""Run a command line with a terminal as its standard output."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(arguments: Sequence[object], folder: Path, columns: int = 80) -> tuple[int, list[str]]:
    """Return the exit code and the lines that a terminal of `columns` columns got, without colours and line endings."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    words = [sys.executable, "-m", "aitimestepper", *map(str, arguments)]
    program = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, cwd=folder, env=environment)
    os.close(theirs)
    found = b""
    try:
        while part := os.read(ours, 65536):
            found += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    errors = program.communicate()[1].decode()
    assert "Traceback" not in errors, errors
    return program.returncode, ESCAPE.sub("", found.decode()).splitlines()
