"""One training loop for every objective: steps, schedules, checkpoints, monitors, processes, probes."""

import importlib.util
import sys

if importlib.util.find_spec("torch") is None:
    sys.exit("training needs PyTorch, which is not installed: in the checkout, pip install '.[cpu,train]'")
