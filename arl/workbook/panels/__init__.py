"""The explorer's panels: one class a file, each with a `view` to be placed and methods that show something in it."""

from arl.workbook.panels.base import Messages, card, line
from arl.workbook.panels.closer import CloserPanel
from arl.workbook.panels.controls import Controls, Weight
from arl.workbook.panels.front import FrontPanel
from arl.workbook.panels.keep import KeepPanel
from arl.workbook.panels.numbers import NumbersPanel
from arl.workbook.panels.photographs import PhotographsPanel
from arl.workbook.panels.pictures import PicturesPanel
from arl.workbook.panels.training import TrainingPanel

__all__ = [
    "CloserPanel",
    "Controls",
    "FrontPanel",
    "KeepPanel",
    "Messages",
    "NumbersPanel",
    "PhotographsPanel",
    "PicturesPanel",
    "TrainingPanel",
    "Weight",
    "card",
    "line",
]
