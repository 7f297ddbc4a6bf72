"""Runs of problems, calibration and outcomes: the measurements of training, bench and report."""
