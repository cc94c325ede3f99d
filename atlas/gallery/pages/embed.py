"""The small page of a unit that other sites show in a frame: its picture and one line on it."""

from .. import addresses, sentences
from ..evidence_sentences import ident_sentence
from ..recipes import dislikes
from ..views import LayerView, UnitView
from .frame import PageWriter


def write_embed(writer: PageWriter, layer: LayerView, unit: UnitView) -> None:
    """Write the small page of a unit."""
    writer.put(
        "embed",
        f"{layer.folder}/{addresses.embed_page(unit.channel)}",
        title=f"{unit.title} of {writer.title}, embedded",
        description="",
        unit=unit,
        evidence=evidence_line(layer, unit),
    )


def evidence_line(layer: LayerView, unit: UnitView) -> str:
    """Say how far the picture of a unit can be trusted, in one sentence."""
    lead, evidence = unit.lead, layer.atlas.evidence
    if lead is None or lead.image is None:
        return "There is no picture of this unit."
    if evidence and lead.place:
        return ident_sentence(evidence, lead.place, unit.photographs)
    return sentences.reach_sentence(lead.rendering.scores, dislikes(lead.rendering.recipe))
