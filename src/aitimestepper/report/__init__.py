"""Pictures, movies and reports of runs. Only this package draws; matplotlib is loaded when it is needed."""
