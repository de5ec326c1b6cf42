"""The three stages as LightningModules: classifier, integral attention model, segmenter."""
