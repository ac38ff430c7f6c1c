"""The command that makes a run, or what a run of an earlier version does not hold."""

from __future__ import annotations

import shlex

from avssl import plugins
from avssl.report.run_record import Run


def command_of(run: Run) -> str:
    """Command whose run leaves everything that the page shows."""
    kind = f"pretrain --task {run.task}" if run.task in plugins.names(plugins.TASKS) else f"downstream {run.task}"
    return f"avssl {kind} --out {shlex.quote(str(run.folder))}"
