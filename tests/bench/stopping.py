"""From Stop to the sealed recording, to the accepted end, to the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.bench.figures import Row, Spread
from tests.bench.programs import Setting

_VISITS_SECONDS = ("11", "14", "12", "13", "11")
_TRIPS_NEEDED = 3
_RESULT_SHARE, _RESULT_SECONDS = 0.6, 1.0


def rows(setting: Setting) -> Iterator[Row]:
    """Row 7, and of row 13 what the person waits for."""
    visits, trip = _record(setting)
    floor = trip.median * _TRIPS_NEEDED
    trips = f"a round trip: {trip.show('ms', 1)}; {_TRIPS_NEEDED} of them: {floor:.1f} ms"
    for what, key, goal in (
        ("Stop → the app's view says so", "stop_to_shown", "≤ 50 ms on the screen"),
        ("Stop → last chunk sealed on disk", "stop_to_sealed", ""),
        ("Stop → End accepted, only the last chunk left", "stop_to_ended", "≤ 0.5 s at 100 ms round trip"),
    ):
        times = Spread.of(visit[key] * 1000 for visit in visits)
        figure = f"**{times.show('ms')}**, {len(visits)} visits"
        yield Row("7", what, figure, f"{trips} (figure ÷ that: {times.median / floor:.1f})", goal or "-")
    yield _wait_for_result(visits)


def _wait_for_result(visits: list[dict[str, Any]]) -> Row:
    waits = [visit["ended_to_result"] for visit in visits]
    limits = [_RESULT_SHARE * visit["last_chunk_seconds"] + _RESULT_SECONDS for visit in visits]
    shares = Spread.of(wait / limit for wait, limit in zip(waits, limits, strict=True))
    lengths = Spread.of(visit["last_chunk_seconds"] for visit in visits)
    return Row(
        "13",
        "End accepted → transcript and notes there, chunks having come in real time",
        f"**{Spread.of(waits).show('s', 2)}**, {shares.show('x the limit', 2)}",
        f"length of the last chunk: {lengths.show('s', 1)}",
        f"≤ {_RESULT_SHARE} x the last chunk + {_RESULT_SECONDS:.0f} s",
        shares.median <= 1.0,
    )


def _record(setting: Setting) -> tuple[list[dict[str, Any]], Spread]:
    visits = []
    with setting.running("recorder", *_VISITS_SECONDS) as program, setting.speaking():
        for _ in _VISITS_SECONDS:
            _, told = program.hear("stopped")
            visits.append(json.loads(told[0]))
        _, trips = program.hear("trips")
    return visits, Spread.of(trip * 1000 for trip in json.loads(trips[0]))
