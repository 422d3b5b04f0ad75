"""Makes ``resources/transcriber/clinic.lm.bin``: general US English mixed with clinic talk, pruned.

    python packaging/make_language_model.py

About a minute. The general model comes from the installed ``pocketsphinx``; the clinic talk from the templates in
``packaging/language``. The same input makes the same file.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from language.general import read_general
from language.ngrams import Table, Trigrams, estimate, mix, pruned, write_arpa
from language.talk import Talk, british_spellings
from numpy.typing import NDArray
from pocketsphinx import NGramModel, get_model_path

RESOURCES = Path(__file__).resolve().parents[1] / "resources" / "transcriber"


def main() -> int:
    """Make the model with the settings that were measured best."""
    options = _options()
    general = _speaking_british(read_general(Path(get_model_path("en-us/en-us.lm.bin"))))
    talk = Talk(seed=1)
    runs = _runs(talk, options.sentences)
    known = _dictionary()
    text = sorted({w for run in runs for w in run})
    if missing := [w for w in text if w not in known]:
        sys.exit(f"No pronunciation in clinical.dict for: {' '.join(missing)}")
    words = _vocabulary(general, known, text, options.words)
    model = mix(estimate(words, runs, breadth=options.breadth), over(words, general), share=options.share)
    model = pruned(model, options.prune)
    _save(model, options.out)
    print(f"{len(words)} words, {len(model.two.keys)} pairs, {len(model.three.keys)} triples")
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESOURCES / "clinic.lm.bin")
    parser.add_argument("--sentences", type=int, default=300_000)
    parser.add_argument("--words", type=int, default=30_000, help="how many of the general model's words to keep")
    parser.add_argument("--share", type=float, default=0.5, help="of the clinic talk in the mixture")
    parser.add_argument("--breadth", type=float, default=2.0, help="what the clinic talk leaves for unseen words")
    parser.add_argument("--prune", type=float, default=2e-7)
    return parser.parse_args()


def _runs(talk: Talk, count: int) -> list[list[str]]:
    """Sentences joined at random: a chunk of audio holds one to four, and may begin in the middle of one."""
    rng = random.Random(2)
    sentences = talk.sentences(count)
    runs = [entry.split() for entry in talk.one_of_each_word() if entry]
    while sentences:
        run = [word for _ in range(min(rng.randint(1, 4), len(sentences))) for word in sentences.pop()]
        runs.append(run[rng.randrange(len(run)) // 2 :] if rng.random() < 0.3 and run else run)  # noqa: PLR2004
    return [run for run in runs if run]


def _dictionary() -> set[str]:
    """Every word that has a pronunciation."""
    paths = (Path(get_model_path("en-us/cmudict-en-us.dict")), RESOURCES / "clinical.dict")
    lines = (line for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def _vocabulary(general: Trigrams, known: set[str], text: list[str], count: int) -> list[str]:
    most_frequent = [general.words[i] for i in np.argsort(-general.one.p)]
    kept = [w for w in most_frequent if w in known or w in ("<s>", "</s>")][:count]
    return sorted({"<s>", "</s>", *kept, *text})


def _speaking_british(model: Trigrams) -> Trigrams:
    """The same model with the spellings of ``words.txt``; where it knows both, the British one stays."""
    spelling = british_spellings()
    known = set(model.words)
    words = [spelling[w] if w in spelling and spelling[w] not in known else w for w in model.words]
    return Trigrams(words, model.one, model.two, model.three)


def over(words: list[str], model: Trigrams) -> Trigrams:
    """The model over other words: what it does not know gets almost nothing, what is not wanted is dropped."""
    place = {w: i for i, w in enumerate(words)}
    old, new = len(model.words), len(words)
    to = np.array([place.get(w, -1) for w in model.words])
    p, backoff = np.full(new, 1e-8), np.ones(new)
    kept = to >= 0
    p[to[kept]], backoff[to[kept]] = model.one.p[kept], model.one.backoff[kept]
    one = Table(np.arange(new), p, backoff)
    return Trigrams(words, one, _renumbered(model.two, 2, to, old, new), _renumbered(model.three, 3, to, old, new))


def _renumbered(table: Table, order: int, to: NDArray[np.int64], old: int, new: int) -> Table:
    digits = [to[table.keys // old**k % old] for k in reversed(range(order))]
    mask = np.all([d >= 0 for d in digits], axis=0)
    keys = np.zeros(int(mask.sum()), np.int64)
    for digit in digits:
        keys = keys * new + digit[mask]
    by_key = np.argsort(keys)
    kept = table.keep(mask)
    return Table(keys[by_key], kept.p[by_key], kept.backoff[by_key])


def _save(model: Trigrams, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "clinic.arpa"
        write_arpa(model, text)
        NGramModel.readfile(str(text)).write(str(path), NGramModel.str_to_type("bin"))


if __name__ == "__main__":
    sys.exit(main())
