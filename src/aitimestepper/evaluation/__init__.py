"""Runs of problems, calibration and outcomes: what training, bench and report measure with."""
