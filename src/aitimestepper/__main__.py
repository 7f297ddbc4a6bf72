"""`python -m aitimestepper` is the command `aitimestepper`."""

import sys

from .cli import main

sys.exit(main())
