"""One's own photographs: uploaded, or from a folder, and decoded under every setting that can be compared."""

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as w
from PIL import Image

from arl.messages import UserError
from arl.row import Row
from arl.workbook import cards, closer, photos, pictures
from arl.workbook.choice import Store
from arl.workbook.panels.base import Messages, line

TITLE = (
    "<h3>Bring your own face</h3><div class='soft'>One photograph or several, up to 10 MB in all. "
    "They stay in this notebook's memory: nothing is stored or sent.</div>"
)


class PhotographsPanel:
    """Photographs in memory, one of them shown. `row()` is the row that is shown now."""

    def __init__(self, store: Store, row: Callable[[], Row | None], messages: Messages):
        self.store, self._row = store, row
        self.photographs: list[tuple[str, Image.Image]] = []
        self._quiet = False
        self.upload = w.FileUpload(
            accept="image/*", multiple=True, description="Photographs", tooltip="upload photographs of faces"
        )
        self.uploaded = w.Dropdown(options=[], description="face", disabled=True, layout={"width": "auto"})
        self.notice, self.shown = w.HTML(), w.HTML()
        self.upload.observe(messages.guarded(self._read), "value")
        self.uploaded.observe(messages.guarded(self._selected), "value")
        self.view = w.VBox([w.HTML(cards.html(TITLE)), line(self.upload, self.uploaded), self.notice, self.shown])

    def add(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Photographs as (name, content). What cannot be used is said in a line each; raises `UserError` where none can be shown."""
        new, problems = photos.read_all(files)
        self.notice.value = cards.notice("\n".join(problems), problem=True)
        if not new:
            return
        self.photographs = [*self.photographs, *new][-photos.FILES :]
        self._quiet = True
        self.uploaded.options = [(f"{i + 1}. {name}", i) for i, (name, _) in enumerate(self.photographs)]
        self.uploaded.value, self.uploaded.disabled = len(self.photographs) - len(new), False
        self._quiet = False
        self.look()

    def look(self) -> None:
        """The photograph that is selected, cut as the faces of the row that is shown, under every setting that can be compared."""
        row = self._row()
        if row is None:
            raise UserError("photographs: found no stored run to decode them, accepted: after Train this")
        name, image = self.photographs[self.uploaded.value]
        eyes = photos.eyes_of(pictures.faces_of(row))
        photo = photos.align(name, image, row.config.image_size, eyes)
        found = closer.closer(closer.comparable(self.store.rows, row), row, photo.face)
        self.shown.value = cards.closer_table(found, row, f"{name}: {photo.how}")

    def _read(self, change: dict[str, Any]) -> None:
        if files := [(file["name"], bytes(file["content"])) for file in change["new"]]:
            self.upload.value = ()  # the photographs are read: no second copy of them
            self.add(files)

    def _selected(self, change: dict[str, Any]) -> None:
        if not self._quiet:
            self.look()
