"""The numbers of the row that is shown."""

import ipywidgets as w

from arl.row import Row
from arl.workbook import cards


class NumbersPanel:
    """A row's figures with intervals, and their change against no protection."""

    def __init__(self) -> None:
        self.view = w.HTML()

    def show(self, row: Row | None, baseline: Row | None) -> None:
        """The figures of `row`; nothing for None."""
        self.view.value = "" if row is None else cards.numbers_table(row, baseline)
