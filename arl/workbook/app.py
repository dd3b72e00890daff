"""The explorer as a page without code, by Voilà: for this machine alone, behind a token."""

import os
import secrets
import socket
from typing import Any

import click

from arl import gate
from arl.messages import UserError
from arl.store import runs_root
from arl.workbook.notebooks import notebooks, read_notebook

HOST = "127.0.0.1"
UPLOAD = 64 << 20  # bytes of one message: a few photographs


def serve(port: int) -> None:
    """Serve the notebook whose metadata say `arl.app` until interrupted; prints the address, which holds the token. Raises `UserError`.

    Each visitor gets a kernel of its own, which executes the notebook and nothing else: Voilà passes on the messages of widgets only.
    Without the token nothing is served, no file beside the page is, and no other machine can connect.
    """
    try:
        from voila.app import Voila
    except ImportError:
        raise UserError("app: Voilà is not installed, accepted: after pip install 'arl[app]'") from None
    served = [path for path in notebooks() if read_notebook(path).app]
    if not served:
        raise UserError("app: found no notebook with arl.app in its metadata, accepted: a complete installation of arl")
    gate.environment()
    gate.store()
    gate.kernel()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port: found {port} ({error.strerror}), accepted: a free port, such as 0 for any"
            ) from None
        port = probe.getsockname()[1]
    os.environ.setdefault("ARL_FIGURES", str(runs_root() / "exports"))  # beside what `arl reproduce` draws
    token = secrets.token_urlsafe(24)
    click.echo(f"http://{HOST}:{port}/?token={token}")
    Voila.launch_instance(_arguments(str(served[0]), port, token))


def _arguments(notebook: str, port: int, token: str) -> list[str]:
    """Voilà's command line, which stands above any configuration file; it is not the process's, where others could read it."""
    options: dict[str, Any] = {
        "Voila.ip": HOST,
        "Voila.port": port,
        "Voila.port_retries": 0,
        "Voila.token": token,
        "Voila.open_browser": False,
        "Voila.tornado_settings": {"websocket_max_message_size": UPLOAD},
        "VoilaConfiguration.file_allowlist": [],
        "VoilaConfiguration.strip_sources": True,
        "Voila.log_level": "WARN",
    }
    return [notebook, *(f"--{name}={value}" for name, value in options.items())]
