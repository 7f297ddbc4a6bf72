"""Everything that chooses a step."""
