"""Sources cut from user clips: annotations, cut-outs, loading."""
