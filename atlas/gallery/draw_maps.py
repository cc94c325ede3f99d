"""Draw the map of a layer: the picture of each cell, contact sheets of them, and all of them small.

The files have the names that the wall knows, in a folder of their own.
"""

from collections.abc import Callable, Iterator

from ..images.pixels import Pixels, encode, to_pixels
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from . import addresses, sheets
from .draw_units import SHEET_UNITS, Files
from .map_views import FOLDER, MapView, map_view
from .views import Shot


def view_map(atlas: ModelAtlas, layer: LayerAtlas, whole: Callable[[int], Shot]) -> MapView | None:
    """The map of a layer as pages show it; None where it has none."""
    if layer.map is None:
        return None
    return map_view(layer.map, atlas.model.class_names, lambda image: whole(image).file)


def draw_map(
    atlas: ModelAtlas, layer: LayerAtlas, view: MapView, pictures: Pictures
) -> Iterator[Files]:
    """The files of a map, seen from the folder of the layer, a few at a time."""
    dots: dict[int, Pixels] = {}
    tiles: list[Pixels] = []
    for place, one in enumerate(view.cells, 1):
        pixels = to_pixels(pictures.map_picture(layer.info.name, one.cell), atlas.shown)
        tiles.append(sheets.thumbnail(pixels))
        dots[one.cell] = sheets.dot(tiles[-1])
        yield {one.picture: encode(pixels)}
        if len(tiles) == SHEET_UNITS or place == len(view.cells):
            name = addresses.sheet((place - 1) // SHEET_UNITS)
            sheet = sheets.contact_sheet(tiles, addresses.TILES)
            yield {f"{FOLDER}/{name}": encode(sheet)}
            tiles = []
    rows = [[dots[one.cell] if one else None for one in row] for row in view.grid]
    overview = sheets.rows_of_tiles(rows, sheets.DOT)
    yield {f"{FOLDER}/{addresses.OVERVIEW}": encode(overview, sheets.SMALLER)}
