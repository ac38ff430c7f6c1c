"""Drawn objects: appearance, shapes, rasterization."""
