"""Projections of sprites and cameras: tangent plane, lens, pinhole."""
