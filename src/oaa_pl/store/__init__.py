"""The accumulation store: one cumulative map per present (image, class) pair, crash-safe."""

from oaa_pl.machine import require_posix

require_posix()  # here, since every store, and so nearly every command, comes past this place
