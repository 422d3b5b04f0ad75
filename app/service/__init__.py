"""The local scribe service: the protocol's server side, its transcribers and its note makers."""
