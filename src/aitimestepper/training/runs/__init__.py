"""Policy search: a network for the step, bred on whole runs."""
