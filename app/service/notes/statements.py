"""Sentences out of a stream of words: who speaks, what is a question, what was answered, which section it is for.

The recogniser gives neither punctuation nor speakers, so all of this is judged by the vocabulary's cue phrases.
What no cue places is left out of the note; it stays in the transcript. Pure; any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.service.notes.reading import Token, render, utterances_of
from app.service.notes.vocabulary import Vocabulary

Section = Literal["subjective", "objective", "assessment", "plan"]
SECTIONS: tuple[Section, ...] = ("subjective", "objective", "assessment", "plan")

_LONGEST_SHORT_ANSWER = 6
_LONGEST_PHRASE = 8
_SHORTEST_SENTENCE = 2
_ANSWERS = {"no", "yes", "yeah", "nope"}
_ENDS = {".", "?", "!", "…", "।"}


@dataclass(frozen=True)
class Sentence:
    """What one person said at a stretch. An answered question carries its answer."""

    tokens: tuple[Token, ...]
    speaker: str = ""
    is_question: bool = False
    answer: tuple[Token, ...] = ()
    """The answer when it says nothing without its question (``no``, ``three days``)."""
    agrees: bool | None = None
    """The answer is a yes, a no, or neither."""

    @property
    def utterances(self) -> tuple[int, ...]:
        """Where it was said."""
        return utterances_of(self.tokens + self.answer)


@dataclass(frozen=True)
class Statement:
    """One line of a note."""

    text: str
    utterances: tuple[int, ...]
    section: Section
    sentence: Sentence


def sentences(tokens: Sequence[Token], words: Vocabulary) -> list[Sentence]:
    """The sentences of a transcript, questions joined with their short answers."""
    plain = [
        Sentence(tuple(part), part[0].speaker, _is_question(part, words))
        for run in _runs(tokens, words)
        for part in _clauses(run, words)
    ]
    return list(_answered(plain, words))


def statements(heard: Sequence[Sentence], words: Vocabulary) -> list[Statement]:
    """The sentences that a note can carry, each in its section."""
    result: list[Statement] = []
    headed: Section | None = None
    for sentence in heard:
        headed = _heading(sentence, words) or headed
        previous = result[-1].section if result else None
        section = _section(sentence, words, headed, previous)
        text = _text(sentence, words) if section else ""
        if section and text:
            result.append(Statement(text, sentence.utterances, section, sentence))
    return result


# Cutting


def _runs(tokens: Sequence[Token], words: Vocabulary) -> Iterator[list[Token]]:
    """Cut at full stops, at changes of speaker, and at pauses that do not fall inside a sentence."""
    run: list[Token] = []
    for at, token in enumerate(tokens):
        if run and _is_cut(run, tokens[at : at + _LONGEST_PHRASE], words):
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def _is_cut(run: list[Token], following: Sequence[Token], words: Vocabulary) -> bool:
    last, token = run[-1], following[0]
    if last.mark in _ENDS or (token.speaker and token.speaker != last.speaker):
        return True
    if last.utterance == token.utterance:
        return False
    return not _goes_on(run, following, words)


def _goes_on(run: Sequence[Token], following: Sequence[Token], words: Vocabulary) -> bool:
    """A pause inside a sentence: it breaks off before the pause, or what follows cannot stand by itself."""
    is_answer = len(run) == 1 and run[0].key in {"no", "not"}
    if (run[-1].key in words.words("dangling") and not is_answer) or run[-1].mark == ",":
        return True
    if following[0].key in words.words("linking"):
        return True
    if _is_question(run, words):
        return False
    if run[-1].key in words.words("dangling_unless_asked"):
        return True
    if following[0].number is not None:
        ends_open = run[-1].key in words.vital_endings or words.drugs.at(run, len(run) - 1) is not None
        return ends_open or any(found.at(following, 0) for found in (words.phrases("frequencies"), words.dosages))
    starts = ("frequencies", "durations", "instructions", "routes")
    is_corrected = words.phrases("corrections").at(following, 0) and any(t.number is not None for t in following)
    return bool(is_corrected) or any(words.phrases(name).at(following, 0) for name in starts)


def _clauses(run: list[Token], words: Vocabulary) -> Iterator[list[Token]]:
    """Cut a run at the answer to a question inside it, and where an order follows what was found."""
    start = 0
    asks = _is_question(run, words) and run[-1].mark != "?"
    for at in range(1, len(run)):
        is_answer = asks and run[at].key in _ANSWERS and run[at - 1].key not in {"or", "there's"}
        asks_again = run[at - 1].key in _ANSWERS and at - 1 == start and _is_question(run[at:], words)
        is_order = run[at].key in {"so", "and", "then", "but"} and _is_order(run, at + 1, words)
        if is_answer or asks_again or is_order or _begins_sentence(run, start, at, words):
            yield run[start:at]
            start = at
            asks = run[-1].mark != "?" and _is_question(run[at:], words)
    yield run[start:]


def _begins_sentence(run: list[Token], start: int, at: int, words: Vocabulary) -> bool:
    """Speech without punctuation goes on without a pause: a new sentence shows by its first words."""
    is_object = run[at - 1].key in {"you", "it", "me"} and run[at].key in {
        "your",
        "i",
        "there",
        "this",
        "we",
        "please",
    }
    is_linked = run[at - 1].key in words.words("sentence_links") and not is_object
    if at - start < _SHORTEST_SENTENCE or run[-1].mark in _ENDS or is_linked:
        return False
    opening = start + _opening(run[start:at], words)
    if run[opening].key in words.words("subordinates"):
        return False
    asks = words.phrases("question_starts").at(run, at) and not _is_question(run[start:at], words)
    orders = words.phrases("plan_openers").at(run, at)
    is_order = orders is not None and words.drugs.at(run, orders.end) is not None
    return bool(asks) or is_order or words.phrases("sentence_starts").at(run, at) is not None


def _is_order(run: list[Token], at: int, words: Vocabulary) -> bool:
    at += 1 if at < len(run) and run[at].key in {"then", "also", "please"} else 0
    first = words.phrases("plan").at(run, at)
    return (first or words.phrases("plan_openers").at(run, at)) is not None


# Questions and answers


def _opening(tokens: Sequence[Token], words: Vocabulary) -> int:
    """Where a sentence begins after ``okay so``."""
    at = 0
    while at < len(tokens):
        match = words.phrases("openers").at(tokens, at) or words.phrases("fillers").at(tokens, at)
        if match is None:
            return at
        at = match.end
    return at


def _is_question(tokens: Sequence[Token], words: Vocabulary) -> bool:
    if tokens[-1].mark == "?":
        return True
    if tokens[0].speaker == "patient":
        return False
    at = _opening(tokens, words)
    return (
        words.phrases("question").at(tokens, at) is not None and words.phrases("not_question").at(tokens, at) is None
    )


def _answered(plain: Sequence[Sentence], words: Vocabulary) -> Iterator[Sentence]:
    """Join each question with the sentence after it; what the answer says beyond yes or no stands by itself."""
    waiting = deque(plain)
    while waiting:
        question = waiting.popleft()
        if question.is_question and waiting and not waiting[0].is_question:
            question, rest = _joined(question, waiting.popleft(), words)
            if rest:
                waiting.appendleft(rest)
        yield question


def _joined(question: Sentence, answer: Sentence, words: Vocabulary) -> tuple[Sentence, Sentence | None]:
    length, agrees = _yes_or_no(answer.tokens, words)
    if agrees is None:
        if _is_short_answer(answer, words):
            return replace(question, answer=answer.tokens), None
        return question, replace(answer, speaker=answer.speaker or _voice(answer, words) or "patient")
    rest = answer.tokens[length:]
    if agrees and rest and rest[0].key in words.words("circumstance"):
        return replace(question, answer=answer.tokens, agrees=True), None
    joined = replace(question, answer=answer.tokens[:length], agrees=agrees)
    if not rest:
        return joined, None
    following = replace(answer, tokens=rest, is_question=_is_question(rest, words))
    is_plain = not following.is_question
    return joined, replace(following, speaker=_voice(following, words) or "patient") if is_plain else following


def _is_short_answer(answer: Sentence, words: Vocabulary) -> bool:
    if words.phrases("vague").at(answer.tokens, 0):
        return True
    is_short = len(answer.tokens) <= _LONGEST_SHORT_ANSWER and not _is_courtesy(answer.tokens, words)
    return is_short and answer.tokens[0].key != "no" and not _has_own_sense(answer, words)


def _has_own_sense(answer: Sentence, words: Vocabulary) -> bool:
    """``I have a cough`` says something alone, ``three days`` does not."""
    names = ("patient_voice", "doctor_voice", "plan", "plan_openers", "objective", "assessment")
    return any(words.phrases(name).first(answer.tokens) for name in names)


def _yes_or_no(tokens: Sequence[Token], words: Vocabulary) -> tuple[int, bool | None]:
    """How many tokens say yes or no. In ``no chest pain`` none do: that negates the pain, not the question."""
    at = _opening(tokens, words)
    for name, agrees in (("no", False), ("yes", True)):
        match = words.phrases(name).at(tokens, at)
        if match is None or words.phrases("corrections").at(tokens, at):
            continue
        tail = words.phrases(f"{name}_tail").at(tokens, match.end)
        if tail and (tail.end == len(tokens) or tokens[tail.end - 1].mark):
            return tail.end, agrees
        is_whole = match.end == len(tokens) or bool(tokens[match.end - 1].mark)
        if is_whole or agrees or tokens[match.end].key in words.words("after_no"):
            return match.end, agrees
    return 0, None


# Sections


def _voice(sentence: Sentence, words: Vocabulary) -> str:
    """Who speaks: as labelled, else by the first tell-tale phrase."""
    if sentence.speaker:
        return sentence.speaker
    if words.phrases("plan_openers").at(sentence.tokens, _opening(sentence.tokens, words)):
        return "doctor"
    found = {name: words.phrases(f"{name}_voice").first(sentence.tokens) for name in ("doctor", "patient")}
    places = [(match.start, name) for name, match in found.items() if match]
    return min(places)[1] if places else ""


def _heading(sentence: Sentence, words: Vocabulary) -> Section | None:
    match = words.phrases("heading").at(sentence.tokens, _opening(sentence.tokens, words))
    return next((name for name in SECTIONS if match and match.value == name), None)


def _section(
    sentence: Sentence, words: Vocabulary, headed: Section | None, previous: Section | None
) -> Section | None:
    if sentence.is_question:
        return "subjective" if sentence.answer else None
    if _is_courtesy(sentence.tokens, words):
        return None
    voice = _voice(sentence, words)
    if voice == "patient":
        return "subjective"
    going_on = previous if not voice and sentence.tokens[0].key in {"and", "or", "also"} else None
    return _by_cue(sentence.tokens, words) or headed or going_on or _by_content(sentence.tokens, voice, words)


def _by_cue(tokens: tuple[Token, ...], words: Vocabulary) -> Section | None:
    start = _opening(tokens, words)
    if words.phrases("plan_openers").at(tokens, start):
        return "plan"
    order: tuple[Section, ...] = ("plan", "assessment", "objective", "subjective")
    return next((name for name in order if words.phrases(name).first(tokens)), None)


def _by_content(tokens: tuple[Token, ...], voice: str, words: Vocabulary) -> Section | None:
    """Without a cue: a drug with its dose is an order, a symptom that nobody claims is a complaint."""
    if words.drugs.first(tokens) and any(token.number is not None for token in tokens):
        return "plan"
    return "subjective" if not voice and words.phrases("symptoms").first(tokens) else None


def _is_courtesy(tokens: Sequence[Token], words: Vocabulary) -> bool:
    return all(token.key in words.words("courtesy") for token in tokens)


# Wording


def _text(sentence: Sentence, words: Vocabulary) -> str:
    if not sentence.is_question:
        return _sentence_case(_clean(sentence.tokens, words))
    question = _clean(sentence.tokens, words)
    closed = words.phrases("closed").at(question, 0) if sentence.agrees is not None else None
    content = question[closed.end :] if closed else []
    said = render(_clean(sentence.answer, words, keeps_openers=True))
    if content and sentence.agrees is False and sentence.answer[0].key == "no":
        return _sentence_case([replace(sentence.answer[0], mark=""), *content])
    if content:
        return _sentence_case(content).rstrip(".") + f": {said}."
    return _sentence_case(question).rstrip(".") + f"? {_capital(said)}."


def _clean(tokens: Sequence[Token], words: Vocabulary, *, keeps_openers: bool = False) -> list[Token]:
    start = 0 if keeps_openers else _opening(tokens, words)
    kept = (token for token in tokens[start:] if token.key not in words.words("fillers"))
    return [replace(token, text="I" + token.text[1:]) if _is_personal(token) else token for token in kept]


def _is_personal(token: Token) -> bool:
    return token.key == "i" or token.key.startswith("i'")


def _sentence_case(tokens: Sequence[Token]) -> str:
    text = render(tokens)
    return _capital(text) + "." if text else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
