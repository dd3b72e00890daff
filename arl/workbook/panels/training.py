"""A training in the background: its buttons, how far it is, and what its decoder makes of the faces meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from arl.config import RunConfig
from arl.messages import UserError
from arl.workbook import cards, pictures
from arl.workbook.background import Progress, Training, kind_of
from arl.workbook.panels.base import Messages, line

SECONDS = 0.5  # between two looks at a training
GOING = ("running", "paused")
COLOUR = {"finished": "success", "failed": "danger", "cancelled": "warning"}


class TrainingPanel:
    """Trains the choice `config()`, one at a time. `finished()` is called when a training has ended well."""

    def __init__(self, people: int, config: Callable[[], RunConfig], finished: Callable[[], Any], messages: Messages):
        self.people, self._config, self._finished, self._messages = people, config, finished, messages
        self.training: Training | None = None
        self._epoch = ("", -1)  # the run and its epoch of which the curves are shown
        self.train = w.Button(
            description="Train this",
            icon="play",
            button_style="primary",
            tooltip="train what is chosen, in the background",
        )
        self.pause = w.Button(
            description="Pause", icon="pause", disabled=True, tooltip="stop the training where it stands"
        )
        self.cancel = w.Button(
            description="Cancel", icon="stop", disabled=True, tooltip="end the training; finished epochs are kept"
        )
        self.bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 160px"})
        self.progress, self.curves, self.live = w.HTML(), w.HTML(), w.HTML(layout={"max_width": "560px"})
        self.train.on_click(messages.guarded(lambda _: self._train()))
        self.pause.on_click(messages.guarded(lambda _: self._pause()))
        self.cancel.on_click(messages.guarded(lambda _: self._cancel()))
        buttons = line(self.train, self.pause, self.cancel, self.bar)
        self.view = w.VBox([buttons, self.progress, self.curves, self.live])

    def show(self, progress: Progress, cfg: RunConfig) -> None:
        """How far the training of `cfg` is."""
        going = progress.state in GOING
        self.bar.value, self.bar.bar_style = progress.fraction, COLOUR.get(progress.state, "")
        self.train.disabled, self.pause.disabled, self.cancel.disabled = going, not going, not going
        paused = progress.state == "paused"
        self.pause.description, self.pause.icon = ("Resume", "play") if paused else ("Pause", "pause")
        more = ""
        if going:
            more = f": {progress.stage}, {cards.duration(progress.seconds_left)}"
        elif progress.state == "cancelled":
            more = ". Its finished epochs are kept: Train this goes on from there"
        elif progress.state == "finished":
            more = ": its point is on the front"
        self.progress.value = cards.notice(f"{progress.state} – {cards.setting_words(cfg)}{more}")

    def _train(self) -> None:
        if self.training is not None and self.training.state in GOING:
            raise UserError("train: found a training under way, accepted: one at a time; cancel it, or wait")
        self.training = Training(self._config())
        self._epoch = ("", -1)
        self._look(self.training)
        asyncio.get_running_loop().create_task(self._watch(self.training))

    def _pause(self) -> None:
        if self.training.state == "paused":
            self.training.resume()
        else:
            self.training.pause()
        self._look(self.training)

    def _cancel(self) -> None:
        self.training.cancel()
        self._look(self.training)

    def _look(self, training: Training) -> Progress:
        progress = training.progress()
        self.show(progress, training.config)
        return progress

    async def _watch(self, training: Training) -> None:
        """Show how far it is, and what its decoder makes of the faces, until it ends; cells and sliders go on meanwhile."""
        while training.state in GOING:
            await asyncio.sleep(SECONDS)
            run = self._look(training).run
            if run is None or (run.id, len(run.metrics)) == self._epoch:
                continue
            self._epoch = (run.id, len(run.metrics))
            self._messages.run(self._show_curves, run)
            try:
                strip = await asyncio.to_thread(pictures.live, run, training.config, self.people)
            except Exception as error:
                self._messages.run(_raise, error)
                continue
            if strip is not None:
                who = "the simulated adversary" if kind_of(run) == "encoder" else "the attacker"
                self.live.value = cards.live_strip(strip, f"what {who} decodes after epoch {self._epoch[1]}")
        self._messages.run(self._ended, training)

    def _show_curves(self, run: Any) -> None:
        self.curves.value = cards.curves(run.id, run.metrics)

    def _ended(self, training: Training) -> None:
        progress = self._look(training)
        if progress.state == "failed":
            raise UserError(progress.message.removeprefix("arl: ") or "train: the process ended without a word")
        if progress.state == "finished":
            self._finished()


def _raise(error: Exception) -> None:
    raise error
