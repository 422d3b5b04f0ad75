"""How fast, light and exact the app is on this machine: ``python3 dev.py bench``.

No tests: nothing here passes or fails. Each figure is taken from outside, from processes such as a user starts, and
stands beside a reference measured in the same run. ``__main__`` runs everything and writes ``RESULTS.md``.
"""
