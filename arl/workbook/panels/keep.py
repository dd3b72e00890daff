"""Keep and export: the choices of a session, as files."""

from collections.abc import Callable
from pathlib import Path

import ipywidgets as w

from arl.config import RunConfig
from arl.messages import UserError
from arl.row import Row
from arl.store import make_folder, write_atomically
from arl.workbook import cards, session
from arl.workbook.choice import Store
from arl.workbook.panels.base import Messages, line


class KeepPanel:
    """What was kept, and its export to `exports/` in the store. `config()` and `row()` are the choice and the row shown now."""

    def __init__(
        self,
        store: Store,
        people: int,
        config: Callable[[], RunConfig],
        row: Callable[[], Row | None],
        messages: Messages,
    ):
        self.store, self.people, self._config, self._row = store, people, config, row
        self.kept: list[RunConfig] = []
        self.keep = w.Button(description="Keep this choice", icon="plus", tooltip="add what is chosen to the session")
        self.export = w.Button(
            description="Export", icon="download", tooltip="a papermill file and an HTML report of what was kept"
        )
        self.said = w.HTML()
        self.keep.on_click(messages.guarded(lambda _: self._keep()))
        self.export.on_click(messages.guarded(lambda _: self._export()))
        self.view = w.VBox([line(self.keep, self.export), self.said])

    def _keep(self) -> None:
        if self._row() is None:
            raise UserError("keep: found no stored run near the choice, accepted: after Train this")
        self.kept.append(self._config())
        kept = "; ".join(cards.setting_words(cfg) for cfg in self.kept)
        self.said.value = cards.notice(f"kept {len(self.kept)}: {kept}")

    def _export(self) -> None:
        choices = self.kept or [self._config()]
        found = [(cfg, *self.store.nearest(cfg)) for cfg in choices if self.store.rows]
        folder = Path(self.store.root) / "exports"
        make_folder(folder)
        files = [
            ("parameters.yaml", session.parameters_yaml(choices[-1]), "text/yaml", "the last choice, for papermill")
        ]
        if found:
            text = session.report("Choices of λ and μ", found, self.store, self.people)
            files.append(("report.html", text, "text/html", f"a report of {len(found)}"))
        links = []
        for name, text, kind, what in files:
            write_atomically(folder / name, text.encode())
            links.append(f'<li><a download="{name}" href="{cards.url(text.encode(), kind)}">{name}</a>: {what}</li>')
        how = f"papermill notebooks/01_train.ipynb out.ipynb -f {folder / 'parameters.yaml'}"
        self.said.value = cards.html(
            f"<ul>{''.join(links)}</ul><div class='soft'>Also in {folder}. <code>{how}</code></div>"
        )
