"""Finished runs as one table and one figure: seeds, confidence intervals, the published numbers beside ours."""
