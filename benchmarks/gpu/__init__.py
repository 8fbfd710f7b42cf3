"""What one prepared run on a machine with a GPU does; `benchmarks/gpu_day.sh` starts it."""
