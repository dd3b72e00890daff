"""The utility–privacy front, with a button on each point."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from arl.config import RunConfig
from arl.paper.front import Point
from arl.row import Row
from arl.workbook import cards
from arl.workbook.panels.base import classed


class FrontPanel:
    """Stored runs between utility and privacy. `clicked(cfg)` is called with the configuration of a point."""

    def __init__(self, clicked: Callable[[RunConfig], Any]):
        self._clicked = clicked
        self.points: list[Point] = []
        self.buttons: list[w.Button] = []
        self.figure, self.style = w.HTML(layout={"width": "100%"}), w.HTML()
        self.map = classed(
            w.Box([self.figure, self.style]), "arl-front"
        )  # nothing else: places are fractions of its sides
        self.key = w.HTML()
        self.view = w.VBox([self.map, self.key])

    def show(self, points: Sequence[Point], chosen: Row | None) -> None:
        """These points, of which `chosen` stands out."""
        drawn = cards.front_svg(points, chosen)
        self.figure.value = drawn.figure
        self.key.value = cards.front_key() if points else ""
        same = [p.row for p in points] == [p.row for p in self.points]
        self.points = list(points)
        if same:  # the buttons stay, and with them the keyboard's place
            return
        self.style.value = cards.point_places(drawn.places)
        old, self.buttons = self.buttons, [self._button(i, point) for i, point in enumerate(points)]
        self.map.children = (self.figure, self.style, *self.buttons)
        for button in old:
            button.close()

    def _button(self, i: int, point: Point) -> w.Button:
        button = w.Button(tooltip=cards.point_name(point)).add_class("arl-point").add_class(f"arl-point-{i}")
        button.on_click(lambda _: self._clicked(point.row.config))
        return button
