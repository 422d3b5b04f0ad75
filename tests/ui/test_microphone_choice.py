"""Microphones are chosen by name and place, remembered, and told apart."""

from __future__ import annotations

from app.core.settings import Settings
from app.core.views import ChangeSettings, MicrophoneInfo
from app.ui.controls import Choice
from app.ui.microphone_choice import chosen, key_of, offers, with_choice
from tests.ui.desk import Desk
from tests.ui.samples import MICROPHONES, PINNED, view

TWINS = (
    MicrophoneInfo("USB Headset", "MME", is_default=True),
    MicrophoneInfo("USB Headset", "WASAPI"),
    MicrophoneInfo("Webcam", "WASAPI"),
)


def test_the_system_is_followed_by_name() -> None:
    assert offers(view())[0] == ("", "Follow the system (Built-in Microphone)")
    assert chosen(view()) == ""


def test_one_name_at_two_places_is_told_apart() -> None:
    texts = [text for _key, text in offers(view(microphones=TWINS))]
    assert texts[1:] == ["USB Headset (MME)", "USB Headset (WASAPI)", "Webcam"]


def test_a_choice_is_a_name_and_a_place() -> None:
    settings = with_choice(Settings(), key_of(TWINS[1]))
    assert (settings.microphone, settings.microphone_host_api) == ("USB Headset", "WASAPI")
    assert chosen(view(microphones=TWINS, settings=settings)) == key_of(TWINS[1])
    assert with_choice(settings, "") == Settings()


def test_a_choice_from_before_places_were_kept_still_holds() -> None:
    shown = view(settings=Settings(microphone="USB Headset"))
    assert chosen(shown) == key_of(MICROPHONES[1])


def test_a_pinned_one_that_is_away_stays_chosen(desk: Desk) -> None:
    desk.show("ready-microphone-missing")
    combo = desk.find(Choice, "microphone")
    assert combo.currentText() == "USB Headset (not there now)"
    desk.window.render(view(settings=PINNED))
    assert combo.currentText() == "USB Headset"
    assert desk.wishes(ChangeSettings) == []


def test_a_habit_that_changes_before_the_microphones_are_listed_keeps_the_pinned_one(desk: Desk) -> None:
    desk.window.render(view(settings=PINNED, microphones=(), microphones_listed=False))
    combo = desk.find(Choice, "output-language")
    combo.setCurrentIndex(combo.findData("hi"))
    combo.activated.emit(combo.currentIndex())
    (wish,) = desk.wishes(ChangeSettings)
    assert isinstance(wish, ChangeSettings)
    assert wish.settings.microphone == "USB Headset"
