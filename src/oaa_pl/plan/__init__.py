"""How long a run will take on this machine, and what would be quicker."""
