"""The pictures: the faces, what the attacker decodes of them without protection, and under the choice."""

from collections.abc import Callable
from typing import Any

import ipywidgets as w

from arl.row import Row
from arl.workbook import cards, pictures
from arl.workbook.choice import Distance
from arl.workbook.panels.base import classed

TITLE = "<b>input</b> <span class='soft'>click a face to look closer</span>"


class PicturesPanel:
    """The stored run that stands for the choice, in pictures of `people` people. `clicked(i)` is called with the place of a face."""

    def __init__(self, people: int, clicked: Callable[[int], Any]):
        self.people = people
        self.status, self.decoded, self.baseline = w.HTML(), w.HTML(), w.HTML()
        self.style, self.title = w.HTML(), w.HTML(cards.html(TITLE))
        self.faces = [w.Button(tooltip=f"look closer at face {i + 1}") for i in range(people)]
        for i, button in enumerate(self.faces):
            button.add_class("arl-face").add_class(f"arl-face-{i}")
            button.on_click(lambda _, i=i: clicked(i))
        self.row = classed(w.HBox(self.faces), "arl-faces")
        self.view = w.VBox([self.status, self.title, self.style, self.row, self.baseline, self.decoded])

    def show(self, row: Row | None, far: Distance | None, baseline: Row | None) -> None:
        """`row` at the distance `far`, and what is decoded without protection; None where nothing is stored. Raises `UserError`."""
        self.status.value = cards.status(row, far)
        for widget in (self.row, self.title):
            widget.layout.display = "none" if row is None else None
        if row is None:
            self.decoded.value = self.baseline.value = ""
            return
        grid = pictures.grid(row, self.people)
        self.decoded.value = cards.decoded_strip("decoded", grid, row)
        self._show_faces(grid, row.config.image_size)
        base = ""
        if baseline is not None and baseline is not row:
            base = cards.decoded_strip("without protection", pictures.grid(baseline, self.people), baseline)
        if base != self.baseline.value:
            self.baseline.value = base

    def mark(self, i: int) -> None:
        """Show which face is looked at."""
        for button in self.faces:
            button.remove_class("arl-on")
        self.faces[i].add_class("arl-on")

    def _show_faces(self, grid: pictures.Grid, side: int) -> None:
        style = cards.face_buttons(grid, side)
        if style != self.style.value:  # it is large, and the same for all rows of one split
            self.style.value = style
        for i, button in enumerate(self.faces):
            button.layout.display = None if i < len(grid.inputs) else "none"
