"""The measuring instrument: which step is best, on problems that none of them has seen."""
