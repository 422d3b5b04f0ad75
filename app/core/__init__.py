"""What ScribeDesk knows and decides, without I/O: nouns, events, the session machine, problems, documents.

Nothing here touches Qt, numpy, HTTP, threads, the clock, files or chance; all of it can be tested as values.
"""
