"""What the panels share: where mistakes and exceptions are shown, and how widgets are laid out."""

import traceback
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from arl.messages import UserError
from arl.workbook import cards


class Messages:
    """Runs what the panels do. A mistake of the user's becomes one line, any other exception an error output in the page."""

    def __init__(self) -> None:
        self.notice, self.errors = w.HTML(), w.Output()
        self.view = w.VBox([self.notice, self.errors])

    def run(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do it; nothing is raised."""
        try:
            self.notice.value = ""
            work(*arguments)
        except UserError as error:
            self.notice.value = cards.notice(str(error), problem=True)
        except Exception as error:
            lines = traceback.format_exception(error)
            output = {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
            self.errors.outputs += (output,)

    def guarded(self, callback: Callable[[Any], Any]) -> Callable[[Any], None]:
        """`callback` for a widget's event, by `run`."""
        return lambda event: self.run(callback, event)


def card(*children: w.Widget, **layout: str) -> w.VBox:
    """Widgets below one another in a frame with this `layout`."""
    return classed(w.VBox(children, layout=layout), "arl-card")


def line(*children: w.Widget) -> w.HBox:
    """Widgets beside one another, wrapped where the page is narrow."""
    return w.HBox(children, layout={"flex_flow": "row wrap", "align_items": "stretch"})


def classed(box: w.Box, name: str) -> w.Box:
    """`box` with a class of the style sheet."""
    box.add_class(name)
    return box
