"""Reads the general US English model, a ``Trie Language Model`` file of the recogniser's library.

The library can write its models as ARPA text, but writes wrong numbers for this kind; hence a reader of our own.
The file: an order and the counts; three tables of 65,536 numbers that probabilities point into; the single
words; then, bit-packed and grouped by *predicted* word, the pairs and triples, each with the word before it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from language.ngrams import Table, Trigrams

_MAGIC = b"Trie Language Model"
_BINS = 1 << 16
_LOG_BASE = 1.0001
_UNIGRAM = np.dtype([("p", "<f4"), ("backoff", "<f4"), ("next", "<u4")])


def read_general(path: Path) -> Trigrams:
    """The model, with its words in the file's order."""
    data = path.read_bytes()
    assert data.startswith(_MAGIC), "another kind of language model"
    order, n1, n2, n3 = struct.unpack_from("<B3I", data, len(_MAGIC))
    assert order == 3  # noqa: PLR2004
    at = len(_MAGIC) + 13 + 4
    bins = np.frombuffer(data, "<f4", 3 * _BINS, at).reshape(3, _BINS)
    at += bins.nbytes
    unigrams = np.frombuffer(data, _UNIGRAM, n1 + 1, at)
    at += unigrams.nbytes
    word_bits, next_bits = n1.bit_length(), n3.bit_length()
    pairs = _Packed(data, at, n2, word_bits + 32 + next_bits)
    triples = _Packed(data, at + pairs.size, n3, word_bits + 16)
    words = data[at + pairs.size + triples.size + 4 :].decode().split("\0")[:-1]
    n2 = int(unigrams["next"][n1])

    last = np.repeat(np.arange(n1), _steps(unigrams["next"].astype(np.int64)))
    before = pairs.field(0, word_bits)[:n2]
    two_keys = before * n1 + last
    two = _table(two_keys, bins[0][pairs.field(word_bits + 16, 16)[:n2]], bins[1][pairs.field(word_bits, 16)[:n2]])
    starts = np.append(pairs.field(word_bits + 32, next_bits)[:n2], n3)
    of = np.repeat(np.arange(n2), _steps(starts))
    three_keys = triples.field(0, word_bits) * n1 * n1 + two_keys[of]
    three = _table(three_keys, bins[2][triples.field(word_bits, 16)], np.zeros(n3))
    return Trigrams(words, _table(np.arange(n1), unigrams["p"][:n1], unigrams["backoff"][:n1]), two, three)


def _steps(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    return starts[1:] - starts[:-1]


def _table(keys: NDArray[np.int64], log_p: NDArray[np.float32], log_backoff: NDArray[np.float32]) -> Table:
    order = np.argsort(keys, kind="stable")
    base = np.log(_LOG_BASE)
    p, backoff = (np.exp(logs.astype(np.float64) * base) for logs in (log_p, log_backoff))
    return Table(keys[order], p[order], backoff[order])


class _Packed:
    """An array of records of ``bits`` bits each, with no regard to bytes."""

    def __init__(self, data: bytes, at: int, count: int, bits: int) -> None:
        self.size = ((1 + count) * bits + 7) // 8 + 8
        self._bytes = np.frombuffer(data, np.uint8, self.size, at)
        self._count, self._bits = count, bits

    def field(self, offset: int, width: int) -> NDArray[np.int64]:
        """One field of every record."""
        bit = np.arange(self._count, dtype=np.int64) * self._bits + offset
        first = bit >> 3
        value = np.zeros(self._count, np.int64)
        for k in range(5):
            value |= self._bytes[first + k].astype(np.int64) << (8 * k)
        return (value >> (bit & 7)) & ((1 << width) - 1)
