"""Photos, tags and augmentations: every stage reads its batches from here."""

import os

# albumentations asks the network for a newer release as it is imported, which fails behind a
# firewall and would only find the successor under another licence: see pyproject.toml.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
