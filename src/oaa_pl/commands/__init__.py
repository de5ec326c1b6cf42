"""The `oaa` command line over Hydra: one file per command."""
