"""Photos, tags and augmentations: every stage reads its batches from here."""

import os

# At import, albumentations looks on the network for a newer release. That fails behind a firewall,
# and the newer package has another licence: see pyproject.toml.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
