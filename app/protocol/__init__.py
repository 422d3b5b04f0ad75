"""The scribe service's API as typed calls: one narrow door (:class:`app.protocol.client.ScribeClient`).

Whatever a server answers, what comes out is a noun of :mod:`app.core.scribe` or one
:class:`app.protocol.answer.RequestRefused`.
"""
