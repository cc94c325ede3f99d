"""Write requirements.lock from what pip would install: name, version and digest of each file.

`python -m tests.faults.lock REPORT`, where REPORT is what `pip install --report` wrote.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

HEAD = """\
# Exact versions and digests of all that the tests and the demo install, on Linux for x86-64 with
# Python 3.11. To have the same again:
#     python -m pip install --require-hashes --no-deps -r requirements.lock
# To renew it, in a fresh environment:
#     python -m pip install --dry-run --ignore-installed --report REPORT '.[demo,publish,dev]'
#     python -m tests.faults.lock REPORT > requirements.lock
"""


def normalise(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock(report: dict[str, Any]) -> str:
    """The lock file of an installation report, sorted by name; this package itself left out."""
    lines = []
    for one in report["install"]:
        name = normalise(one["metadata"]["name"])
        if name != "cnn-atlas":
            digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{name}=={one['metadata']['version']} --hash=sha256:{digest}\n")
    return HEAD + "".join(sorted(lines))


if __name__ == "__main__":
    sys.stdout.write(lock(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
