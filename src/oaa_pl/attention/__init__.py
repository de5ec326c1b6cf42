"""From score maps to attention maps, and what may be done with them: Eqs. (2), (5), (10)."""
