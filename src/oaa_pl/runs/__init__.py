"""A run's folder: where its stages are, and the record of how each was made."""
