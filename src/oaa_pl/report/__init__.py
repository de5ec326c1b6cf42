"""The report: results tables, the paper's numbers beside them, curves and pictures in one page."""
