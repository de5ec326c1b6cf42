"""From image tags to pixel masks: online attention accumulation (Jiang et al., ICCV 2019)."""

__all__ = ["__version__"]

__version__ = "0.1.0"
