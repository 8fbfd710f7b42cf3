"""One training loop for every objective: steps, schedules, checkpoints, monitors, processes, probes."""
