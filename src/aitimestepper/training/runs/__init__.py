"""Training on whole runs: a network for the step that keeps a run's tolerance at the fewest force evaluations."""
