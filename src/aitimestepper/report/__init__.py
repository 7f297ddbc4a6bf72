"""Pictures, movies and reports of runs. The only package that draws, and only when asked: matplotlib is loaded on use."""
