"""Files on anybody's disk: images, texts, atomic writes, locks."""
