"""Everything visible. It renders snapshots and posts wishes; it decides nothing and waits for nothing.

All of it lives on Qt's main thread, apart from :meth:`app.ui.bridge.Bridge.publish`.
"""
