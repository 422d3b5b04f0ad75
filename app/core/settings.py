"""The user's settings, as one frozen value with safe defaults."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL_SERVICE = "local"
"""Id of the scribe service that the app carries."""


@dataclass(frozen=True)
class Settings:
    """What is remembered between starts. Never anything about a patient."""

    service_id: str = LOCAL_SERVICE
    """``local``, or the base address of another service."""
    microphone: str = ""
    """Name of the chosen microphone; empty follows the system."""
    microphone_host_api: str = ""
    """Where the chosen microphone is found; with the name, its identity."""
    keep_audio_days: float = 7.0
    """Audio that was delivered is deleted after this time, or once the notes are reviewed."""
    keep_notes_days: float = 0.0
    """Transcript and notes are deleted after this time; 0 keeps them."""
    mode: str = "consultation"
    templates: tuple[str, ...] = ("soap", "medications")
    languages: tuple[str, ...] = ("en",)
    output_language: str = "en"
    model: str = ""
    theme: str = "system"
    """``system``, ``light``, ``dark`` or ``contrast``."""
