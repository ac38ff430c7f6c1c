"""Physics on the sphere: pure functions on tensors, no files, no state."""
