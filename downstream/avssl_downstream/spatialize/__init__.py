"""Mono sound and pictures to spatial sound."""
