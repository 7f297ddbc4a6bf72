"""Step criteria as values: the kind of the criterion, its numbers, and the criterion that it wraps. No arithmetic is here."""
