"""A page as the templates know it, beside what it shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Values that the frame around a page needs.

    Attributes:
        path: of the page in the site.
        kind: which template it is made from; a class of its body.
        title, description: of the page, unlike those of any other.
        trail: name and link of each level above, then the page itself with "".
        card: picture for link previews, in the site; "" for none.
    """

    path: str
    kind: str
    title: str
    description: str
    trail: tuple[tuple[str, str], ...] = ()
    card: str = ""

    @property
    def root(self) -> str:
        """The way up to the site's folder: "" or some `../`."""
        return "../" * self.path.count("/")
