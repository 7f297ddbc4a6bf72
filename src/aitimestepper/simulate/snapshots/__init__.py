"""Streaming a simulation to an HDF5 file, which can be read while it is written and after a kill at any moment.

`/position`, `/time`, ... hold the rows in compressed chunks; each is written once, when it is full. The newest rows are in
`/tail`, uncompressed, each with a CRC-32 checksum. All that the engine needs to resume a run is in two slots, `/state/0` and
`/state/1`, written alternately. A kill during a write therefore costs only the data of that write: nothing that was complete
before is changed.
"""

from .reader import Saved as Saved
from .reader import Snapshots as Snapshots
from .reader import read_state as read_state
from .writer import SnapshotWriter as SnapshotWriter
