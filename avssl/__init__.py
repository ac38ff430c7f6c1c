"""avssl: self-supervised learning from the spatial alignment of sight and sound."""

import logging
import os

__version__ = "0.1.0"

# Read by libgomp and OpenBLAS when torch and numpy load them: waiting threads sleep after microseconds. With the
# defaults they spin for milliseconds, and beside another busy program every small product then waits for a time slice.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

logging.getLogger("avssl").addHandler(logging.NullHandler())
