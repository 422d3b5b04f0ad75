"""When the disk is little, it is said in time."""

from __future__ import annotations

import pytest

from app.core.storage import BYTES_PER_SECOND, storage_view
from app.core.views import StorageView


@pytest.mark.parametrize(
    ("minutes", "is_low", "is_critical"), [(61, False, True), (59, True, True), (14, True, True), (600, False, False)]
)
def test_the_time_that_fits_decides_and_so_does_the_last_gigabyte(
    minutes: int, is_low: bool, is_critical: bool
) -> None:
    view = storage_view(int(minutes * 60 * BYTES_PER_SECOND) + 1)
    assert view.free_seconds == pytest.approx(minutes * 60, abs=1)
    assert (view.is_low, view.is_critical) == (is_low, is_critical)


def test_an_unknown_disk_is_not_called_full() -> None:
    assert storage_view(None, refusal="network", folder="/x") == StorageView(refusal="network", folder="/x")
