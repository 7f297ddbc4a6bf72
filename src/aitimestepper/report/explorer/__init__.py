"""The explorer: one page, which loads nothing from anywhere, to play, scrub and compare recorded runs and trainings."""
