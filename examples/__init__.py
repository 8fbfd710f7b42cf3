"""Runnable examples: simulated events, the quickstart, batch recipes."""
