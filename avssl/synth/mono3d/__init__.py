"""The synthetic dataset `mono3d`: cut-outs on 3-D trajectories with FOA audio."""
