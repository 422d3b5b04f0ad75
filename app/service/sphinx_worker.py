"""The process that decodes speech with PocketSphinx: a pipe in, a pipe out, nothing else.

It exists because the decoder holds Python's interpreter lock for seconds at a time. A request on stdin is a
four-byte little-endian length and that many bytes of 16-bit mono samples at 16 kHz; an answer on stdout is a
length and a JSON list of ``[word, start_seconds, end_seconds]``. The end of stdin ends the process, so it
never outlives its parent, however the parent ended. Single-threaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from pocketsphinx import Config, Decoder, Vad, get_model_path

LENGTH = struct.Struct("<I")
RESOURCES = Path(__file__).resolve().parents[2] / "resources" / "transcriber"
_FRAMES_PER_SECOND = 100
_VAD_FRAME_SECONDS = 0.03

RawWord = tuple[str, float, float]


def main() -> int:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end we see on stdin
    _yield_to_others()
    # By number, since a windowed program on Windows has no sys.stdin; and whatever a library prints must not
    # get into our answers.
    requests = open(0, "rb", closefd=False)  # noqa: SIM115
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(requests, answers, open_decoder())
    return 0


def serve(requests: BinaryIO, answers: BinaryIO, decoder: Decoder) -> None:
    """Answer requests one by one until they end."""
    while samples := _read_request(requests):
        answer = json.dumps(decode(decoder, samples)).encode()
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def open_decoder(folder: Path = RESOURCES) -> Decoder:
    """Load the library's acoustic model and dictionary, then our words and our language model (half a second)."""
    config = Config(
        hmm=get_model_path("en-us/en-us"),
        dict=get_model_path("en-us/cmudict-en-us.dict"),
        lm=None,
        loglevel="FATAL",
    )
    decoder = Decoder(config)
    for line in (folder / "clinical.dict").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            decoder.add_word(*line.split(" ", 1), update=False)
    decoder.add_lm_file("clinic", str(folder / "clinic.lm.bin"))
    decoder.activate_search("clinic")
    return decoder


def decode(decoder: Decoder, samples: bytes) -> list[RawWord]:
    """What the decoder heard, fillers and all, as word, start and end in seconds."""
    is_speech = _speech_frames(samples)
    if not any(is_speech):
        return []
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    heard = [
        (s.word, s.start_frame / _FRAMES_PER_SECOND, (s.end_frame + 1) / _FRAMES_PER_SECOND)
        for s in decoder.seg() or ()
    ]
    return [word for word in heard if _is_in_speech(word, is_speech)]


def _speech_frames(samples: bytes) -> list[bool]:
    """Which frames of the chunk hold a voice. A new detector each time: it adapts, and chunks come in any order."""
    detector = Vad(mode=Vad.MEDIUM_LOOSE, sample_rate=16_000, frame_length=_VAD_FRAME_SECONDS)
    size = detector.frame_bytes
    return [detector.is_speech(samples[at : at + size]) for at in range(0, len(samples) - size + 1, size)]


def _is_in_speech(word: RawWord, is_speech: list[bool]) -> bool:
    """The decoder has to make something of silence, and sometimes makes a word: one that no voice said."""
    _, start, end = word
    return any(is_speech[int(start / _VAD_FRAME_SECONDS) : int(end / _VAD_FRAME_SECONDS) + 1])


def _read_request(requests: BinaryIO) -> bytes:
    """The next request's samples; empty when there will be none."""
    head = requests.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return b""
    length: int = LENGTH.unpack(head)[0]
    body = requests.read(length)
    return body if len(body) == length else b""


def _yield_to_others() -> None:
    """Recording and the window come first."""
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(5)


if __name__ == "__main__":
    sys.exit(main())
