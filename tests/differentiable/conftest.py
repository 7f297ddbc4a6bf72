"""The systems in torch."""

from torch_fixtures import *  # noqa: F403
