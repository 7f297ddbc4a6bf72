"""Loading of Python files that users wrote, such as families and criteria. A file is run with all the rights of the user."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from .errors import ConfigError
from .files import open_regular, path_shown


def load_module(path: Path, what: str) -> ModuleType:
    """Run the Python file at `path` and return it as a module; an error names `what` the file should hold."""
    if not os.path.exists(path):
        raise ConfigError(f"there is no file {path_shown(path)} with {what} in it.")
    open_regular(path, f"Python file with {what}", ConfigError).close()  # a pipe or a device would block
    name = f"aitimestepper_own_{path.stem}"  # a name that no installed package has
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path_shown(path)} is not a Python file; it should hold {what}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a dataclass looks up its own module there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's own code
        raise ConfigError(f"{path_shown(path)} cannot be run: {type(error).__name__}: {error}") from None
    return module
