"""The explorer: panels that select and show, and what one of them tells the others.

`Explorer(cfg)` is displayed by leaving it at the end of a cell. An exception in a callback is shown in the page, as an error output that
`arl.workbook.notebooks.widget_errors` finds; a mistake that the user can mend is one line above the pictures.
"""

import threading
from typing import Any

import ipywidgets as w
from matplotlib.figure import Figure

from arl.config import RunConfig
from arl.messages import UserError
from arl.workbook import cards, choice, photos, pictures, session
from arl.workbook.choice import Distance, Row, Store
from arl.workbook.panels import (
    CloserPanel,
    Controls,
    FrontPanel,
    KeepPanel,
    Messages,
    NumbersPanel,
    PhotographsPanel,
    PicturesPanel,
    TrainingPanel,
    card,
    line,
)

WARM = 64  # rows whose first pictures are made before they are asked for


class Explorer:
    """An instrument for one store of runs. `cfg` is where it stands first; `photographs` a folder of one's own faces, or one of them.

    `row` is the stored run that stands for the choice, None where there is none of these faces; `far` is how far it is.
    """

    def __init__(self, cfg: RunConfig, people: int = 8, photographs: str = "", store: Store | None = None):
        self.store, self.people = store or Store(), people
        self.row: Row | None = None
        self.far: Distance | None = None
        self.messages = messages = Messages()
        self.controls = Controls(cfg, self.store.rows, moved=lambda: messages.run(self.look))
        self.pictures = PicturesPanel(people, clicked=lambda i: messages.run(self._look_closer, i))
        self.front = FrontPanel(clicked=lambda cfg: messages.run(self.choose, cfg))
        self.numbers = NumbersPanel()
        self.training = TrainingPanel(people, lambda: self.config, self._trained, messages)
        self.closer = CloserPanel(self.store, people)
        self.photographs = PhotographsPanel(self.store, lambda: self.row, messages)
        self.keep = KeepPanel(self.store, people, lambda: self.config, lambda: self.row, messages)
        self.view = self._lay_out()
        messages.run(self.choose, cfg)
        if photographs:
            messages.run(lambda: self.photographs.add(photos.of_folder(photographs)))
        threading.Thread(target=self._warm, daemon=True).start()

    @property
    def config(self) -> RunConfig:
        """The choice as a configuration. Raises `ConfigError` for one that is none."""
        return self.controls.config

    def choose(self, cfg: RunConfig) -> None:
        """Move every control to `cfg`, then look. Raises `UserError`."""
        self.controls.choose(cfg)
        self.look()

    def look(self) -> None:
        """The nearest stored run to the choice: its pictures first, then the front and the numbers. Raises `UserError`."""
        cfg = self.config
        found = self.store.nearest(cfg)
        if found is not None and found[1].value >= choice.OF_THE_FACES:  # other faces stand for nothing
            found = None
        self.row, self.far = found or (None, None)
        baseline = self.store.baseline(self.row.config) if self.row else None
        self.pictures.show(self.row, self.far, baseline)
        self.numbers.show(self.row, baseline)
        self.front.show(choice.front(self.store.rows, cfg), self.row)
        self.closer.moved(self.row)

    def figure(self) -> Figure:
        """What is shown now, for paper and for readers without widgets."""
        return session.session_figure(self.store, self.config, self.people)

    def runs(self) -> list[Any]:
        """The stored runs behind `figure`: those of the front, and those whose faces it shows."""
        found = self.store.nearest(self.config)
        shown = [] if found is None else [found[0], self.store.baseline(found[0].config)]
        rows = [*(point.row for point in choice.front(self.store.rows, self.config)), *filter(None, shown)]
        return list({row.id: row.run for row in rows}.values())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        shown = (self.pictures.status, self.pictures.decoded, self.numbers.view)
        still = cards.html("".join(widget.value for widget in shown))  # where no widget is drawn
        view = {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
        data = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": cards.style() + still,
            "text/plain": "Explorer",
        }
        display(data, raw=True)

    def _lay_out(self) -> w.VBox:
        """Which panel stands where."""
        controls = card(self.controls.view, flex="1 1 280px", max_width="380px")
        shown = card(self.pictures.view, flex="3 1 420px", min_width="0")
        front = card(self.front.view, flex="1 1 300px", min_width="0")
        numbers = card(self.numbers.view, flex="1 1 440px", min_width="0")
        below = (self.training, self.closer, self.photographs, self.keep)
        return w.VBox(
            [
                w.HTML(cards.style()),
                self.messages.view,
                line(controls, shown),
                line(front, numbers),
                *(card(panel.view) for panel in below),
            ]
        )

    # -- what one panel tells the others ------------------------------------------------------------------------

    def _look_closer(self, i: int) -> None:
        self.closer.show(self.row, i)
        self.pictures.mark(i)

    def _trained(self) -> None:
        self.store.refresh()
        self.look()

    def _warm(self) -> None:
        """Make the first pictures of the rows that are one move away, so that the first visit is as quick as the second."""
        for point in [p for p in self.front.points if p.alike][:WARM]:
            try:
                pictures.grid(point.row, self.people)
                if (baseline := self.store.baseline(point.row.config)) is not None:
                    choice.change(point.row, baseline)
            except (UserError, RuntimeError, OSError):
                continue  # said when it is chosen
