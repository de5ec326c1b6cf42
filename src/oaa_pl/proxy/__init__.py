"""Proxy labels: background cues, the rule, dense CRF, palette files."""
