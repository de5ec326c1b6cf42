"""Weights & Biases, offline unless a key is configured, so that it never waits for a network."""

import netrc
import os
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.loggers import WandbLogger

from oaa_pl.errors import ConfigError

__all__ = ["has_key", "wandb_logger"]


def has_key() -> bool:
    """Whether a W&B key is configured, in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].strip("/")
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(
    folder: str | Path,
    name: str,
    project: str,
    offline: bool | str = "auto",
    entity: str | None = None,
    tags: Sequence[str] | None = None,
) -> WandbLogger:
    """A logger of one stage's training.

    Args:
        folder: the stage's folder; offline runs are in it, ready for `wandb sync`.
        name: of the run on the dashboard.
        project: that it belongs to.
        offline: true, false, or "auto": offline unless a key is configured.
        entity: the team; None: your own account.
        tags: of the run.

    Raises:
        ConfigError: if `offline` is something else.
    """
    if offline == "auto":
        offline = os.environ.get("WANDB_MODE") == "offline" or not has_key()
    if not isinstance(offline, bool):
        raise ConfigError(f"logger.wandb.offline must be auto, true or false, got {offline!r}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        name=name,
        save_dir=folder,
        project=project,
        entity=entity,
        tags=list(tags or []),
        # A resumed stage is a new run of the same name: W&B cannot continue an offline one.
        offline=offline,
    )
