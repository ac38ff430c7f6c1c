"""A run of one step on a manifest, for the time from the start of its process: `python -m avssl.bench.first_step`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from avssl.config import RunConfig
from avssl.models.runtime import single_process
from avssl.recipe_files import resolve
from avssl.train.pretrain import PretrainRun
from avssl.train.resolved_run import resolve_run


def main(manifest: str, clips: int) -> None:
    """Do everything that `avssl pretrain --recipe avsa/small` does up to its first step."""
    config = resolve(RunConfig, "avsa/small", where="avsa/small")
    data, train = replace(config.data, manifest=manifest, batch=clips), replace(config.train, steps=1)
    with TemporaryDirectory() as folder:
        run = PretrainRun(resolve_run(replace(config, data=data, train=train)), Path(folder), (), False)
        fabric = single_process(train.precision)
        run.build_task()
        run.load_clips(fabric)
        run.filter_clips(fabric)
        run.fit_statistics()
        run.train(fabric)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
