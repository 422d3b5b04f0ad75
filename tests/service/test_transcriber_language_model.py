"""The tools that make the language model: probabilities stay probabilities, whatever is mixed, renumbered or cut."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from language.general import read_general
from language.ngrams import Trigrams, estimate, mix, pruned
from language.talk import Talk, number_words
from make_language_model import over
from pocketsphinx import NGramModel, get_model_path

RUNS = [line.split() for line in ("no fever", "no cough and no fever", "a cough and a fever", "take rest", "no rest")]
OTHER_RUNS = [line.split() for line in ("no cat and a dog", "a dog and a cat", "take a dog", "no dog")]
WORDS = sorted({"<s>", "</s>", "zebra", *(word for run in (*RUNS, *OTHER_RUNS) for word in run)})


def totals_after_each_pair(model: Trigrams) -> list[float]:
    v = len(model.words)
    return [float(model.p3(pair * v + np.arange(v)).sum()) for pair in range(v * v)]


@pytest.mark.parametrize("threshold", [0.0, 0.002, 0.05])
def test_whatever_was_said_the_next_words_have_probability_one(threshold: float) -> None:
    model = mix(estimate(WORDS, RUNS, 1.0), estimate(WORDS, OTHER_RUNS, 2.0), 0.3)
    assert totals_after_each_pair(pruned(model, threshold)) == pytest.approx([1.0] * len(WORDS) ** 2)


def test_a_mixture_lies_between_its_parts() -> None:
    a, b = estimate(WORDS, RUNS, 1.0), estimate(WORDS, OTHER_RUNS, 1.0)
    v, place = len(WORDS), {word: i for i, word in enumerate(WORDS)}
    heard = np.array([(place["no"] * v + place["cough"]) * v + place["and"]])
    assert mix(a, b, 0.25).p3(heard) == pytest.approx(0.25 * a.p3(heard) + 0.75 * b.p3(heard))


def test_a_model_over_more_words_says_the_same_about_its_own() -> None:
    words = sorted({"<s>", "</s>", *(word for run in RUNS for word in run)})
    model = estimate(words, RUNS, 1.0)
    wider = over(WORDS, model)
    assert WORDS[-1] not in words
    v, w = len(words), len(WORDS)
    place = np.array([WORDS.index(word) for word in words])
    keys = np.arange(v**3)
    same = (place[keys // v // v] * w + place[keys // v % v]) * w + place[keys % v]
    assert wider.p3(same) == pytest.approx(model.p3(keys))


def test_the_general_model_is_read_as_its_own_library_reads_it() -> None:
    path = get_model_path("en-us/en-us.lm.bin")
    ours, theirs = read_general(Path(path)), NGramModel.readfile(path)
    v, place = len(ours.words), {word: i for i, word in enumerate(ours.words)}
    for said in ("a lot of", "one of the", "blood pressure is", "the the the", "zebra of cough"):
        first, second, third = said.split()
        key = (place[first] * v + place[second]) * v + place[third]
        base = np.log(ours.p3(np.array([key]))[0]) / np.log(1.0001)
        assert base == pytest.approx(theirs.prob([third, second, first]), abs=30)


def test_talk_is_plain_words_and_the_same_each_time() -> None:
    sentences = Talk(seed=7).sentences(2_000)
    assert sentences == Talk(seed=7).sentences(2_000)
    text = " ".join(word for sentence in sentences for word in sentence)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz '-")
    assert len({" ".join(sentence) for sentence in sentences}) > 1_000


@pytest.mark.parametrize(
    ("number", "said"), [(0, "zero"), (15, "fifteen"), (20, "twenty"), (84, "eighty four"), (1000, "one thousand")]
)
def test_numbers_are_said(number: int, said: str) -> None:
    assert number_words(number, random.Random(1)) == said


def test_large_numbers_are_said_in_more_than_one_way() -> None:
    ways = {number_words(138, random.Random(seed)) for seed in range(30)}
    assert ways == {"one hundred and thirty eight", "one hundred thirty eight", "one thirty eight"}
