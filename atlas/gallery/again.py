"""A model's folder that is as it would be made again: only the pages above the models are made."""

import json
from collections.abc import Sequence
from pathlib import Path

from .finish import Frame, SiteReport, finish, open_tree
from .lists import UnitList
from .memory import Memory


def write_again(
    memory: Memory,
    *,
    site: Path,
    folder: str,
    site_url: str,
    templates: Sequence[Path],
    lists: Sequence[UnitList] = (),
) -> SiteReport:
    """Bring a site up to date whose folder of one model was made from the same inputs before.

    Args:
        memory: of the build that made it, as it was `found_in` the folder.
        site: the site's folder.
        folder: name of the model's folder inside it.
        site_url, templates, lists: see `write_site`.

    Returns:
        What was done.

    Raises:
        CacheError, CheckError, UsageError: as of `write_site`.
    """
    frame = Frame.load(templates, site_url)
    with open_tree(site, folder) as tree:
        tree.sizes.update(memory.sizes)
        tree.digests.update(memory.digests)
        model = {**json.loads(tree.read("model.json")), "folder": folder}
        return finish(tree, model, frame, memory.unnamed, lists)
