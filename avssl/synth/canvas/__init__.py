"""Scenes composited on a flat canvas."""
