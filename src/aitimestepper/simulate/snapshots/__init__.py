"""Streaming a simulation to an HDF5 file: readable while it is written, and after a kill at any moment.

`/position`, `/time`, ... hold the rows in compressed chunks, each written once, when it is full. The newest rows are in
`/tail`, uncompressed, each sealed with a CRC-32. All that the engine needs to go on is in two slots, `/state/0` and
`/state/1`, written in turn. So a kill in the middle of a write costs no more than what was being written: nothing that was
whole before is touched by it.
"""

from .reader import Saved as Saved
from .reader import Snapshots as Snapshots
from .reader import read_state as read_state
from .writer import SnapshotWriter as SnapshotWriter
