"""One training: its trainer, processes, precision and resumption."""
