"""What must be said that belongs to no session: the folder, the disk, the microphone, the service, and the key.

Decided from a snapshot; of several things the gravest is said. Main thread.
"""

from __future__ import annotations

from dataclasses import replace

from app.core.problems import Problem, ProblemKind
from app.core.views import AppView, KeyState, ServiceState, is_worth_saying
from app.ui.notice import GRAVE, Notice, pinned_microphone, with_room
from app.ui.phrases import problem_words, tr
from app.ui.plain import shown_name
from app.ui.standing import visits


def notice_for_app(view: AppView, now: float) -> Notice | None:
    """What has to be said at a time that belongs to no session."""
    candidates = (
        _unsafe_folder(view),
        _from_problem(view.problem),
        _no_microphone(view),
        _disk_low(view),
        _pinned_away(view),
        _service_away(view, now),
    )
    return next((notice for notice in candidates if notice is not None), None)


def _from_problem(problem: Problem | None) -> Notice | None:
    if problem is None:
        return None
    words = problem_words(problem)
    tone = "danger" if problem.kind in GRAVE else "warn"
    return Notice(tone, words.what, f"{words.safe} {words.do}", problem.detail)


def _unsafe_folder(view: AppView) -> Notice | None:
    if not view.storage.refusal:
        return None
    what = {
        "network": tr("You cannot record now: the folder for recordings lies on a network drive."),
        "synced": tr("You cannot record now: a sync service copies the folder for recordings to other computers."),
        "read-only": tr("You cannot record now: ScribeDesk may not write to the folder for recordings."),
    }.get(view.storage.refusal, tr("You cannot record now: the folder for recordings is not a safe place."))
    elsewhere = tr("set SCRIBEDESK_HOME to a folder on this computer's own disk that this user alone can read.")
    if view.storage.refusal == "read-only":
        elsewhere = tr("let this user write to the folder, or {elsewhere}").format(elsewhere=elsewhere)
    more = tr(
        "Nothing was deleted. Call your IT person, and start ScribeDesk again when it is put right. For IT: {do}"
    )
    return Notice("danger", what, more.format(do=elsewhere), view.storage.folder)


def _no_microphone(view: AppView) -> Notice | None:
    if not view.microphones_listed or view.microphones:
        return None
    return Notice(
        "warn",
        tr("No microphone was found."),
        tr("Plug one in or allow ScribeDesk to use it in the system's settings, then press Look again. "
           "You can practise with the sample consultation meanwhile."),
    )  # fmt: skip


def _disk_low(view: AppView) -> Notice | None:
    if not (view.storage.is_low or view.storage.is_critical):
        return None
    return Notice(
        "danger" if view.storage.is_critical else "warn",
        with_room(tr("The disk is nearly full."), view),
        tr("What was recorded is safe on this computer. Free some space before the next visit: recordings that were "
           "delivered can be deleted."),
        view.storage.folder,
        frozenset({"LookAtStored"}),
        is_line=True,
    )  # fmt: skip


def _pinned_away(view: AppView) -> Notice | None:
    pinned = pinned_microphone(view)
    if pinned is None or not view.microphone_missing:
        return None
    default = next((shown_name(each.name) for each in view.microphones if each.is_default), "")
    instead = tr("{other} is used meanwhile.").format(other=default or tr("The system's microphone"))
    again = tr("{name} is used again when it is plugged in; or choose another.")
    again = again.format(name=shown_name(pinned.name))
    return Notice(
        "warn",
        tr("{name} is not there.").format(name=shown_name(pinned.name)),
        f"{instead} {again}",
    )


def _service_away(view: AppView, now: float) -> Notice | None:
    problem = view.service.problem
    is_told = is_worth_saying(problem, view.service.trouble_since, now)
    if problem is None or not is_told or view.service.state is not ServiceState.UNREACHABLE:
        return None
    more = tr("You can record all the same: recordings are kept on this computer and sent by themselves.")
    return Notice("info", problem_words(problem).what, more, problem.detail)


# The keys ---------------------------------------------------------------------------------------------------------


def notice_for_keys(view: AppView) -> Notice | None:
    """What has to be said about the key to what is kept on this computer."""
    keys = view.keys
    if view.storage.refusal:
        return None  # Nothing is kept here at all, and that is being said.
    if keys.state is KeyState.LOCKED:
        words = problem_words(Problem(ProblemKind.KEYS_LOCKED))
        sealed = _sealed(keys.sealed_session_count)
        more = " ".join(filter(None, (words.safe, sealed, words.do)))
        return Notice("warn", words.what, more, actions=frozenset({"AskKeystoreAgain", "Unlock"}), is_line=True)
    notice = _KEYS.get(keys.state)
    if notice is not None:
        sealed = _sealed(keys.sealed_session_count)
        return replace(notice, what=tr(notice.what), more=" ".join(filter(None, (sealed, tr(notice.more)))))
    if keys.recovery_code:
        is_chosen = keys.state is KeyState.PASSPHRASE
        lost = tr("the passphrase is ever forgotten") if is_chosen else tr("the keychain is ever lost")
        return Notice(
            "info",
            tr("Note the recovery code: if {lost}, nothing else opens the visits here.").format(lost=lost),
            actions=frozenset({"ShowRecoveryCode"}),
            is_line=True,
        )
    return None


def _sealed(count: int) -> str:
    if count == 0:
        return ""
    text = tr("1 visit cannot be read now.") if count == 1 else tr("{visits} cannot be read now.")
    return text.format(visits=visits(count))


_KEYS = {
    KeyState.WAITING: Notice(
        "info",
        "Waiting for your keychain.",
        "Look whether it asks for its password. You can record meanwhile: new visits are sealed, nothing is lost.",
        actions=frozenset({"AskKeystoreAgain"}),
    ),
    KeyState.SESSION_ONLY: Notice(
        "warn",
        "Visits can be read here only until ScribeDesk is closed.",
        "This computer has no keychain. Visits are recorded and sent all the same; with a passphrase of yours they "
        "can be read after the next start too.",
        actions=frozenset({"SetPassphrase"}),
        is_line=True,
    ),
    KeyState.MISSING: Notice(
        "danger",
        "The keychain no longer has the key to the visits on this computer.",
        "Nothing was deleted, and new visits are recorded as always. The recovery code opens the older ones; without "
        "it, new visits can be kept under a new key beside them.",
        actions=frozenset({"AskKeystoreAgain", "Unlock", "BeginNewStore"}),
    ),
}
