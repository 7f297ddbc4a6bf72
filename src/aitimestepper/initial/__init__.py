"""Files and named initial conditions."""
