"""ScribeDesk: a desktop medical scribe that speaks the MedScribeAlliance Protocol v0.1."""

__version__ = "0.1.0"
