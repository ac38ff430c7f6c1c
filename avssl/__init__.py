"""avssl: self-supervised learning from the spatial alignment of sight and sound."""

__version__ = "0.1.0"
