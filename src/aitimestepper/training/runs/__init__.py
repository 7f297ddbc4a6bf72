"""Training on whole runs: a network whose runs stay within their tolerance at the fewest force evaluations."""
