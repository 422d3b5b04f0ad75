"""Everything on disk: the spool of each session, the settings, what is remembered of services, sign-in tokens."""
