"""A run's folder: where its stages lie, and the record of how each was made."""
