"""The accumulation store: one cumulative map per present (image, class) pair, crash-safe."""
