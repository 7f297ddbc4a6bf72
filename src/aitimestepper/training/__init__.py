"""The two-phase training: collect (Part 1), generalize (Part 2), epochs of both."""
