"""Experiments that compare trainings: each runs the project's own scripts and reports what they reached."""
