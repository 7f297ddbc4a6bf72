"""The compiled side of the physics: everything that numba touches. Imported when the first simulation starts, not before.

But for `layout` and `plan`: what the two sides call the numbers that they hand each other, without numba.
"""
