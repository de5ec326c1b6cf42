"""Files on any disk: images, texts, atomic writes, locks."""
