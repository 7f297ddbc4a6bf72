"""Gravity, bodies, outer fields and what they conserve. Imports nothing above it."""
