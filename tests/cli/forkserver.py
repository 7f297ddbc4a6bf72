"""Run command lines in fresh processes that need not import torch (1.3 s) and load the engine (0.6 s) each.

Both are done once, before the fork.

Reads one JSON request a line: arguments, folder, environment, limit on the file size. Answers with the exit code.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import traceback
from pathlib import Path

from aitimestepper.cli import main

sys.path.append(str(Path(__file__).parents[1]))
import engines

engines.load()

with contextlib.suppress(ImportError):
    import torch

    import aitimestepper.training.epochs  # noqa: F401  loaded once for all children

    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).step()  # loads what an optimizer loads when it is first used


def child(request: dict) -> int:
    """Do in the forked process what `python -m aitimestepper` does."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(request["into"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), fd)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    if request["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"],) * 2)
    try:
        return main(request["arguments"])
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = child(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
