"""Snapshots come from another thread, and only the newest one is shown."""

from __future__ import annotations

import subprocess
import sys
import threading

from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from app.core.views import AppView, Phase
from app.ui.bridge import Bridge
from tests.ui.samples import session, view


def test_the_newest_snapshot_arrives_on_the_main_thread(qtbot: QtBot) -> None:
    bridge = Bridge()
    arrived: list[AppView] = []
    threads: list[bool] = []
    bridge.arrived.connect(arrived.append)
    bridge.arrived.connect(lambda _view: threads.append(QThread.currentThread() is bridge.thread()))
    views = [view(session(Phase.RECORDING, recorded_seconds=float(at))) for at in range(500)]

    def publish() -> None:
        for each in views:
            bridge.publish(each)

    worker = threading.Thread(target=publish, name="engine")
    worker.start()
    worker.join(5)
    qtbot.waitUntil(lambda: bool(arrived) and arrived[-1] is views[-1], timeout=3000)
    assert len(arrived) == 1
    assert all(threads)


def test_each_later_snapshot_arrives_too(qtbot: QtBot) -> None:
    bridge = Bridge()
    arrived: list[AppView] = []
    bridge.arrived.connect(arrived.append)
    for count in range(1, 4):
        bridge.publish(view())
        qtbot.waitUntil(lambda count=count: len(arrived) == count, timeout=3000)  # type: ignore[misc]


def test_the_window_needs_nothing_heavy() -> None:
    code = "import app.ui.window, sys; print([m for m in ('numpy', 'httpx', 'sounddevice') if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
