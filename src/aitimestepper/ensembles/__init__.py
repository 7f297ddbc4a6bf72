"""Ensembles of many small systems, and what becomes of them."""
