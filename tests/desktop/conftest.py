"""What a visit needs: a voice, a microphone, a screen, the app."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.desktop.app import App
from tests.rig.desktop import Desktop
from tests.rig.pulse import PulseRig

SPOKEN = (
    "Good morning. What can I do for you today. "
    "I have had a dry cough for three days. "
    "Your blood pressure is one hundred and thirty over eighty five. "
    "I will give you paracetamol five hundred milligrams three times a day for five days. "
    "Please drink plenty of water and come back in one week."
)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", SPOKEN, "-o", str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def microphone() -> Iterator[PulseRig]:
    with PulseRig() as rig:
        yield rig


@pytest.fixture
def screen() -> Iterator[Desktop]:
    with Desktop() as desktop:
        yield desktop


@pytest.fixture
def start_app(tmp_path: Path, screen: Desktop, microphone: PulseRig) -> Iterator[Callable[[], App]]:
    """Starts the app on one and the same folder."""
    apps: list[App] = []

    def start() -> App:
        apps.append(App(tmp_path / "home", {**microphone.environment, **screen.environment}))
        return apps[-1]

    yield start
    for app in apps:
        if app.process.poll() is None:
            app.kill()
