"""The compiled physics: everything that uses numba. It is imported when the first simulation starts, not before.

`layout` and `plan` are the exception: they name the numbers that Python and the kernels share, and do not import numba.
"""
