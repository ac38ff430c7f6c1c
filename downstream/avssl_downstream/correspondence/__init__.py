"""AVC-Bin and AVSA-Bin on frozen encoders."""

from avssl_downstream.correspondence.head import Correspondence

__all__ = ["Correspondence"]
