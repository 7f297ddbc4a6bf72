"""Python files of the user's own: families of problems, criteria. They are run, so they are as trusted as the user is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .errors import ConfigError


def load_module(path: Path, what: str) -> ModuleType:
    """Run a file, or say in one sentence why that cannot be done; `what` it should hold."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path} with {what} in it.")
    name = f"aitimestepper_own_{path.stem}"  # not the name of anything that could be installed
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file; it should hold {what}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} cannot be run: {type(error).__name__}: {error}") from None
    return module
