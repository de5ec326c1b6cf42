"""Photos to masks, by a segmenter that was trained before."""
