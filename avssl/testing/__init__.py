"""Contract checks for plug-in authors: tasks, heads, layouts and synthetic datasets.

The check of generators is in `avssl_downstream.spatialize.check_generator`.
"""

from avssl.testing.head_contract import check_head
from avssl.testing.layout_contract import check_layout
from avssl.testing.synthetic_contract import check_synthetic_dataset
from avssl.testing.task_contract import check_task, make_clips

__all__ = ["check_head", "check_layout", "check_synthetic_dataset", "check_task", "make_clips"]
