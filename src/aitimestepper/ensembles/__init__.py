"""Ensembles: many small systems from one call, as a table with a row a system, on one machine or on many."""
