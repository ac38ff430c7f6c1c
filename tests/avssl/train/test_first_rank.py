import json

import pytest

pytestmark = pytest.mark.heavy


def test_work_of_rank_0_reaches_all_processes_and_so_does_its_error(run_tiny, tmp_path):
    process = run_tiny("first_rank", tmp_path, processes=2)
    assert process.wait(120) == 0, process.stderr.read()
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == [{"rejected": ["a"]}, "all clips were rejected"]
    assert [path.name for path in tmp_path.glob("work-*")] == ["work-0"]
