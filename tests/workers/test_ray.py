"""Ray clusters, in a process of their own.

Ray leaves child processes and warnings behind that other tests of the same process would take for
theirs; what is tested stands in cluster_runs.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_clusters_render_what_one_process_renders() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/cluster_runs.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
