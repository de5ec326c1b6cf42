"""The embedded data set: articulated objects of eight classes, drawn from a seed."""
