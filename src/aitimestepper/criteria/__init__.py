"""What chooses a step, as values: the kind of the criterion, its numbers, and what it wraps. No arithmetic lives here."""
