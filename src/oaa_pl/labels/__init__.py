"""From attention maps and a background cue to proxy labels, and label files."""
