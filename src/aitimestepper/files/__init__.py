"""The one door for everything that is read from disk and written to it. Nothing that was read is trusted.

`reading` and `writing` are for all files, `locks` for those that are written for long, `archives` for arrays and seals, and
`hdf5` for the contents of HDF5 files.
"""

from .archives import grouped as grouped
from .archives import is_sealed as is_sealed
from .archives import pack_arrays as pack_arrays
from .archives import parse_array as parse_array
from .archives import seal as seal
from .archives import unpack_arrays as unpack_arrays
from .locks import WriterLock as WriterLock
from .locks import is_being_written as is_being_written
from .reading import conforms as conforms
from .reading import open_regular as open_regular
from .reading import parse_json as parse_json
from .reading import path_shown as path_shown
from .reading import place_of as place_of
from .reading import read_bytes as read_bytes
from .reading import read_json_lines as read_json_lines
from .reading import read_text as read_text
from .reading import reason as reason
from .writing import LinesFile as LinesFile
from .writing import make_folder as make_folder
from .writing import refuse_irregular as refuse_irregular
from .writing import replacement as replacement
from .writing import write_atomically as write_atomically
