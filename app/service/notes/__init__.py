"""The note maker that works on this computer alone, by readable rules over what was said.

Nothing is invented: each statement is made of words of the transcript and keeps the utterances it came from;
what was not said is absent. Called from the service's worker thread; keeps no state but its vocabulary.
"""

from __future__ import annotations

from app.service.notes.documents import TEMPLATES, make
from app.service.ports import NoteContent, Template, TemplateUnknown, Transcript

__all__ = ["TEMPLATES", "RuleNoteMaker"]


class RuleNoteMaker:
    """Makes notes from a transcript in English, offline and always alike."""

    name = "rules on this computer"

    def templates(self) -> tuple[Template, ...]:
        """The templates on offer."""
        return TEMPLATES

    def make(self, template_id: str, transcript: Transcript) -> NoteContent:
        """Make one note.

        Raises:
            TemplateUnknown: no such template.
        """
        note = make(template_id, transcript)
        if note is None:
            raise TemplateUnknown(template_id)
        return note
