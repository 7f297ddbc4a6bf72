"""The compiled side of the physics: everything that numba touches. Imported when the first simulation starts, not before."""
