"""What must be set before anything is imported, for tests and docstring examples alike."""

import os

# A plain `pytest` sees the same surroundings as `make test`.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # no request to a server at import
os.environ["WANDB_MODE"] = "offline"
os.environ["MPLBACKEND"] = "Agg"  # no screen
