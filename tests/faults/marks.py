"""Marks that several files of fault tests share."""

from __future__ import annotations

import os
import sys

import pytest

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux may make this fault"
)
"""For faults made with network namespaces, mounts and other users."""
