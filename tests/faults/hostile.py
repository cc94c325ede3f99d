"""Decode every file of a folder as a build does, one at a time, and measure what it takes.

`python -m tests.faults.hostile FOLDER` prints JSON: for each file the reason for which it was
skipped ("" if it was decoded) and the seconds it took, and the memory of the largest worker.
"""

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

from atlas.images.decode import decode
from atlas.images.load import TIME_LIMIT, find_images, make_task
from atlas.images.sandbox import Worker


def measure(folder: Path) -> dict[str, object]:
    """Measure each file of the folder: its result, seconds and megabytes."""
    found = find_images(str(folder))
    files = {one.name: {"reason": one.reason, "seconds": 0.0} for one in found.skipped}
    worker = Worker(decode, TIME_LIMIT)
    worker.perform(make_task(found, [replace(found.items[0], sha256="")], 32, 32))  # starts it
    for item in found.items:
        began = time.perf_counter()
        result = worker.perform(make_task(found, [item], 32, 32))
        reason = result if isinstance(result, str) else ""
        files[item.name] = {"reason": reason, "seconds": time.perf_counter() - began}
    worker.stop()
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"files": files, "megabytes": kilobytes / 1024}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
