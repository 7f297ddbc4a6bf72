"""The simulation engine: runs, their results, and their output."""
