"""Outline a layer whose pages are on another site: what links to its units show.

No pixel is read and no file made: pictures have the names and sizes that `draw_units` gives them
where their pages are.
"""

from ..images.pixels import THUMBNAIL
from ..records.atlas import LayerAtlas
from ..records.network import CLASSES
from ..records.units import Rendering
from . import addresses
from .draw import Illustrator, box_of
from .views import Example, LayerView, Picture, Shot, UnitView


def outline_layer(illustrator: Illustrator, layer: LayerAtlas, folder: str) -> LayerView:
    """A layer of another site.

    Args:
        illustrator: of the model.
        layer: its record.
        folder: its folder there, seen from the model's folder here.
    """
    records = {(one.unit.channel, one.recipe): one for one in layer.renderings}
    order = illustrator.atlas.recipes_of(layer)
    units = [
        outline_unit(illustrator, layer, channel, [records.get((channel, name)) for name in order])
        for channel in layer.chosen
    ]
    elsewhere = illustrator.part.elsewhere(layer.info.name)
    return LayerView(atlas=layer, folder=folder, units=tuple(units), elsewhere=elsewhere)


def outline_unit(
    illustrator: Illustrator,
    layer: LayerAtlas,
    channel: int,
    records: list[Rendering | None],
) -> UnitView:
    """A unit of another site; `records` are its renderings, None where there is none."""
    pictures = [outline_picture(illustrator, layer, record) for record in records if record]
    examples = outline_examples(illustrator, layer, channel)
    return illustrator.unit_view(layer, channel, pictures, examples, None)


def outline_picture(illustrator: Illustrator, layer: LayerAtlas, record: Rendering) -> Picture:
    """A rendering as another site shows it; one that failed has no picture."""
    if record.status == "failed":
        return Picture(rendering=record, image=None, thumb=None, snapshots=())
    atlas, channel = illustrator.atlas, record.unit.channel
    asked = atlas.class_recipes if layer.info.name == CLASSES else atlas.recipes
    suffix, (height, width) = addresses.recipe_suffix(record.recipe, asked), atlas.shape
    return Picture(
        rendering=record,
        image=Shot(file=addresses.picture(channel, suffix), height=height, width=width),
        thumb=Shot(file=addresses.thumbnail(channel, suffix), height=THUMBNAIL, width=THUMBNAIL),
        snapshots=(),
    )


def outline_examples(
    illustrator: Illustrator, layer: LayerAtlas, channel: int
) -> tuple[Example, ...]:
    """The best dataset example of a unit, which stands for it in a corner; () without one."""
    stats, (height, width) = layer.stats, illustrator.atlas.model.shape
    image = int(stats.example_image[channel, 0])
    if image < 0:
        return ()
    whole = f"../{addresses.sample_image(image)}"
    return (
        Example(
            image=image,
            name=illustrator.atlas.samples.samples[image].name,
            activation=float(stats.example_activation[channel, 0]),
            box=box_of(layer, channel, 0),
            patch=Shot(file=addresses.patch(channel, 1), height=THUMBNAIL, width=THUMBNAIL),
            whole=Shot(file=whole, height=height, width=width),
        ),
    )
