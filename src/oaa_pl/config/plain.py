"""Parts of the configuration as plain values."""

from typing import Any

from omegaconf import OmegaConf

__all__ = ["plain"]


def plain(part: Any) -> Any:
    """A part of the configuration as plain, resolved values; anything else as it is."""
    return OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
