"""Trigram models as sorted numpy arrays: estimate one from sentences, mix two, prune, write as ARPA.

An n-gram is one integer, the words' numbers in base ``V`` with the predicted word last, so that the n-grams of
one history lie side by side and a look-up is a binary search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]
FLOOR = 1e-9


@dataclass(frozen=True)
class Table:
    """Probabilities and back-off weights of the n-grams of one order, sorted by key."""

    keys: Keys
    p: Floats
    backoff: Floats

    def find(self, keys: Keys) -> tuple[NDArray[np.bool_], Keys]:
        """Which keys are in the table, and where."""
        if not len(self.keys):
            return np.zeros(len(keys), bool), np.zeros(len(keys), np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return self.keys[at] == keys, at

    def p_or(self, keys: Keys, otherwise: Floats) -> Floats:
        """The probabilities of keys, and another for each that is not in the table."""
        found, at = self.find(keys)
        p = otherwise.copy()
        p[found] = self.p[at[found]]
        return p

    def keep(self, mask: NDArray[np.bool_]) -> Table:
        """The rows of the mask."""
        return Table(self.keys[mask], self.p[mask], self.backoff[mask])


_NO_TABLE = Table(np.empty(0, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Trigrams:
    """A back-off trigram model over ``words``."""

    words: list[str]
    one: Table
    two: Table
    three: Table

    def p2(self, keys: Keys) -> Floats:
        """Probability of each pair's second word after its first."""
        v = len(self.words)
        return self.two.p_or(keys, self.one.backoff[keys // v] * self.one.p[keys % v])

    def p3(self, keys: Keys) -> Floats:
        """Probability of each triple's last word after its first two."""
        v = len(self.words)
        known, history = self.two.find(keys // v)
        weight = np.where(known, self.two.backoff[history], 1.0)
        return self.three.p_or(keys, weight * self.p2(keys % (v * v)))


def estimate(words: list[str], runs: list[list[str]], breadth: float) -> Trigrams:
    """A Witten-Bell model of runs of words.

    Args:
        words: the vocabulary.
        runs: the text; each run ends at a silence.
        breadth: how much more is kept for unseen words than plain Witten-Bell keeps; drawn sentences repeat
            themselves more than people do.
    """
    v = len(words)
    number = {word: i for i, word in enumerate(words)}
    text = [np.array([number[w] for w in ("<s>", *run, "</s>")], np.int64) for run in runs]
    w1 = np.concatenate([t[1:] for t in text])
    w2 = np.concatenate([t[:-1] * v + t[1:] for t in text])
    w3 = np.concatenate([(t[:-2] * v + t[1:-1]) * v + t[2:] for t in text])
    seen, counts = np.unique(w1, return_counts=True)
    p1 = np.full(v, 0.02 / v)
    p1[seen] += 0.98 * counts / counts.sum()
    one = Table(np.arange(v), p1, np.ones(v))
    two, one_backoff = _next_order(w2, v, lambda keys: p1[keys % v], breadth)
    one = Table(one.keys, one.p, _spread(one.keys, one_backoff))
    lower = Trigrams(words, one, two, _NO_TABLE)
    three, two_backoff = _next_order(w3, v, lambda keys: lower.p2(keys % (v * v)), breadth)
    return Trigrams(words, one, Table(two.keys, two.p, _spread(two.keys, two_backoff)), three)


def _next_order(
    grams: Keys, v: int, lower: Callable[[Keys], Floats], breadth: float
) -> tuple[Table, tuple[Keys, Floats]]:
    """The n-grams of one order, and how much each history leaves to the order below."""
    keys, counts = np.unique(grams, return_counts=True)
    histories, first, kinds = np.unique(keys // v, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, first)
    left = breadth * kinds / (totals + breadth * kinds)
    of = np.searchsorted(histories, keys // v)
    p = counts / (totals + breadth * kinds)[of] + left[of] * lower(keys)
    return Table(keys, p, np.ones(len(keys))), (histories, left)


def _spread(keys: Keys, backoff: tuple[Keys, Floats]) -> Floats:
    histories, weights = backoff
    out = np.ones(len(keys))
    out[np.searchsorted(keys, histories)] = weights
    return out


def mix(a: Trigrams, b: Trigrams, share: float) -> Trigrams:
    """``share`` of ``a`` and the rest of ``b``, over the same words, as one back-off model."""
    v = len(a.words)
    k3 = np.union1d(a.three.keys, b.three.keys)
    k2 = np.unique(np.concatenate([a.two.keys, b.two.keys, k3 // v, k3 % (v * v)]))
    p1 = share * a.one.p + (1 - share) * b.one.p
    p2 = share * a.p2(k2) + (1 - share) * b.p2(k2)
    p3 = share * a.p3(k3) + (1 - share) * b.p3(k3)
    return _normalised(a.words, p1, (k2, p2), (k3, p3))


def _normalised(words: list[str], p1: Floats, two: tuple[Keys, Floats], three: tuple[Keys, Floats]) -> Trigrams:
    v = len(words)
    p1 = p1 / p1.sum()
    k2, p2 = two
    k3, p3 = three
    one = Table(np.arange(v), p1, _backoffs(np.arange(v), k2 // v, p2, p1[k2 % v]))
    pairs = Trigrams(words, one, Table(k2, p2, np.ones(len(k2))), _NO_TABLE)
    backoff = _backoffs(k2, k3 // v, p3, pairs.p2(k3 % (v * v)))
    return Trigrams(words, one, Table(k2, p2, backoff), Table(k3, p3, np.ones(len(k3))))


def _backoffs(histories: Keys, of: Keys, p: Floats, lower: Floats) -> Floats:
    """The weight of the lower order after each history, so that all words together have probability one."""
    at = np.searchsorted(histories, of)
    said = np.bincount(at, p, len(histories))
    expected = np.bincount(at, lower, len(histories))
    return np.maximum(1 - said, FLOOR) / np.maximum(1 - expected, FLOOR)


def pruned(model: Trigrams, threshold: float) -> Trigrams:
    """Without the n-grams that the back-off predicts almost as well, weighed by how often they are met."""
    v = len(model.words)
    k3, p3 = model.three.keys, model.three.p
    history = k3 // v
    met = model.one.p[history // v] * model.p2(history)
    lower = model.two.backoff[np.searchsorted(model.two.keys, history)] * model.p2(k3 % (v * v))
    keep3 = met * p3 * np.abs(np.log(p3 / lower)) > threshold
    k3, p3 = k3[keep3], p3[keep3]
    k2, p2 = model.two.keys, model.two.p
    lower = model.one.backoff[k2 // v] * model.one.p[k2 % v]
    keep2 = model.one.p[k2 // v] * p2 * np.abs(np.log(p2 / lower)) > threshold
    keep2 |= np.isin(k2, k3 // v) | np.isin(k2, k3 % (v * v))
    return _normalised(model.words, model.one.p, (k2[keep2], p2[keep2]), (k3, p3))


def write_arpa(model: Trigrams, path: Path) -> None:
    """Write the model as text."""
    v, w = len(model.words), model.words
    logs = [np.log10(np.maximum(t.p, FLOOR)) for t in (model.one, model.two, model.three)]
    weights = [np.log10(np.maximum(t.backoff, FLOOR)) for t in (model.one, model.two)]
    with path.open("w", encoding="utf-8") as out:
        out.write(f"\\data\\\nngram 1={v}\nngram 2={len(logs[1])}\nngram 3={len(logs[2])}\n\n\\1-grams:\n")
        out.writelines(f"{p:.4f}\t{word}\t{b:.4f}\n" for p, word, b in zip(logs[0], w, weights[0], strict=True))
        out.write("\n\\2-grams:\n")
        for k, p, b in zip(model.two.keys.tolist(), logs[1], weights[1], strict=True):
            out.write(f"{p:.4f}\t{w[k // v]} {w[k % v]}\t{b:.4f}\n")
        out.write("\n\\3-grams:\n")
        for k, p in zip(model.three.keys.tolist(), logs[2], strict=True):
            out.write(f"{p:.4f}\t{w[k // v // v]} {w[k // v % v]} {w[k % v]}\n")
        out.write("\n\\end\\\n")
