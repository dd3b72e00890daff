"""One face closer: under every stored setting that can be compared."""

import ipywidgets as w

from arl.row import Row
from arl.workbook import cards, closer, pictures
from arl.workbook.choice import Store

NONE = "<h3>Look closer</h3><div class='soft'>Click a face above.</div>"
OTHERS = "<h3>Look closer</h3><div class='soft'>Other faces are shown now: click one above.</div>"


class CloserPanel:
    """What each stored setting makes of one face of T, and whom C takes it for."""

    def __init__(self, store: Store, people: int):
        self.store, self.people = store, people
        self.seen: list[Row] = []  # the rows that are shown
        self.view = w.HTML(cards.html(NONE))

    def show(self, row: Row, i: int) -> None:
        """Face `i` of the people that `row` shows. Raises `UserError`."""
        index = int(pictures.people(row, self.people)[i])
        self.seen = closer.comparable(self.store.rows, row)
        found = closer.closer(self.seen, row, index)
        self.view.value = cards.closer_table(found, row, f"Look closer: face {i + 1}")

    def moved(self, row: Row | None) -> None:
        """Another row is shown: where its faces are others, what stands here is of the past."""
        if self.seen and row not in self.seen:
            self.seen = []
            self.view.value = cards.html(OTHERS)
