"""avssl: self-supervised learning from the spatial alignment of sight and sound."""

import logging

__version__ = "0.1.0"
logging.getLogger("avssl").addHandler(logging.NullHandler())
