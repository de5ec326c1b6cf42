"""What happens besides training, and when: accumulation, progress, overlays."""
