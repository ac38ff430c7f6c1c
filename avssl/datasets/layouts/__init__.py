"""Directory layouts of public data sets, one file a layout."""
