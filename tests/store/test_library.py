from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.events import Patient, SessionId, Visit
from app.core.problems import ProblemKind
from app.core.scribe import TemplateResult, TemplateStatus, Utterance
from app.core.views import Gap, Phase, SessionView
from app.store import database
from app.store.library import Library
from app.store.migrations import STEPS
from tests.store.library_child import KEY, SECOND, visit_no
from tests.store.small_disk import largest_file, needs_small_disk

ROOT = Path(__file__).resolve().parents[2]


def view(
    name: str, at: float | None = None, *, label: str = "", transcript: str = "", note: object = None
) -> SessionView:
    notes = (TemplateResult("soap", TemplateStatus.SUCCESS, "SOAP", note),) if note is not None else ()
    return SessionView(
        SessionId(name), Phase.COMPLETED, Visit(Patient(label=label)), at, transcript=transcript, notes=notes
    )


@contextmanager
def library_at(path: Path, key: bytes = KEY) -> Iterator[Library]:
    with closing(Library.open(path, key)) as library:
        yield library


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def memory() -> Iterator[Library]:
    with closing(Library.open(None, None)) as library:
        yield library


def found(library: Library, text: str) -> list[str]:
    return list(library.search(text))


# Keeping


def test_a_session_is_had_back_as_it_was_also_after_a_restart(path: Path) -> None:
    strange = {"dose": 10**40, "half": "\ud83d", "list": [None, 1.5, {"deep": ["x\0y"]}]}
    session = replace(
        view("one", 5.0, label="Asha", transcript="Fever since Monday", note=strange),
        gaps=(Gap(1.0, None, "microphone", 1.7e9, takes_up_recording=True),),
        utterances=(Utterance("Fever", 0.5, None),),
        allowed=frozenset({"MakeNote", "SendAgain"}),
        missing_spans=((1.0, 2.5),),
    )
    with library_at(path) as library:
        library.keep(session)
        assert library.session(session.id) == session
    with library_at(path) as library:
        assert library.session(session.id) == session
        assert library.problem is None
        assert library.is_durable


def test_what_is_kept_last_counts(memory: Library) -> None:
    memory.keep(view("one", 1.0, transcript="cough"))
    memory.keep(view("one", 1.0, transcript="fever"))
    assert [session.transcript for session in memory.sessions()] == ["fever"]
    assert (found(memory, "cough"), found(memory, "fever")) == ([], ["one"])


def test_sessions_come_newest_first_and_page_by_page(memory: Library) -> None:
    for name, at in (("b", 2.0), ("never started", None), ("c", 3.0), ("a", 1.0)):
        memory.keep(view(name, at))
    assert [session.id for session in memory.sessions()] == ["c", "b", "a", "never started"]
    assert [session.id for session in memory.sessions(limit=2)] == ["c", "b"]
    assert [session.id for session in memory.sessions(before=2.0)] == ["a"]


def test_settled_is_what_needs_nothing_more(memory: Library) -> None:
    for phase in Phase:
        memory.keep(SessionView(SessionId(phase.value), phase, Visit()))
    assert memory.settled_ids() == {"completed", "partial", "failed", "expired"}


def test_what_another_version_wrote_is_passed_over_and_stays(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one", 1.0))
        library.keep(view("other", 2.0))
    with closing(database.open_file(path, KEY, STEPS)) as db:
        db.execute("UPDATE view SET view = json_set(view, '$.phase', 'dreaming') WHERE number = 2")
        db.execute("UPDATE view SET checksum = checksum(view)")
    for _ in range(2):
        with library_at(path) as library:
            assert [session.id for session in library.sessions()] == ["one"]
            assert library.session(SessionId("other")) is None
            assert library.undecodable_count == 1
            assert library.settled_ids() == {"one", "other"}


def test_tokens_and_facts(path: Path) -> None:
    with library_at(path) as library:
        library.keep_token("cloud", "old")
        library.keep_token("cloud", "new")
        library.keep_token("clinic", "its own")
        library.remember("newest time", "12")
    with library_at(path) as library:
        assert (library.token("cloud"), library.recall("newest time")) == ("new", "12")
        library.forget_token("cloud")
    with library_at(path) as library:
        assert (library.token("cloud"), library.token("clinic")) == (None, "its own")
        assert library.recall("oldest time") is None


def test_what_was_kept_in_memory_moves_into_the_file_and_replaces_nothing(path: Path, memory: Library) -> None:
    memory.keep(view("new", 2.0, transcript="cough"))
    memory.keep(view("both", 1.0, transcript="old"))
    memory.keep_token("cloud", "t")
    with library_at(path) as library:
        library.keep(view("both", 1.0, transcript="newer"))
        assert library.take_over(memory) == 1
        assert [session.transcript for session in library.sessions()] == ["cough", "newer"]
        assert found(library, "cough") == ["new"]
        assert library.token("cloud") == "t"
    assert not memory.is_durable


# Searching


@pytest.fixture
def three(memory: Library) -> Library:
    memory.keep(view("asha", 1.0, label="Asha Ménard", transcript="BP 120/80, non-tender. José said 'NEAR' him."))
    memory.keep(view("dev", 2.0, label="Dev", note={"plan": ["Start metformin 500 mg", "Review in 2 weeks"]}))
    memory.keep(view("hindi", 3.0, transcript="मरीज को मधुमेह है"))
    return memory


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("asha", ["asha"]),
        ("menard ASHA", ["asha"]),
        ("MÉNARD", ["asha"]),
        ("jose", ["asha"]),
        ("metf rev", ["dev"]),
        ("metf asha", []),
        ("etformin", []),
        ("120/80", ["asha"]),
        ("non-tender", ["asha"]),
        ("NEAR", ["asha"]),
        ("मधुमे", ["hindi"]),
        ("धुमेह", []),
        ("s", ["dev", "asha"]),
        ("", []),
        ('"', []),
        ("*", []),
    ],
)
def test_search(three: Library, text: str, names: list[str]) -> None:
    assert found(three, text) == names


def test_a_patient_is_found_by_number(memory: Library) -> None:
    memory.keep(SessionView(SessionId("one"), Phase.RECORDING, Visit(Patient("Asha", id="MRN-0042"))))
    assert found(memory, "mrn-0042") == ["one"]


@given(st.text(max_size=60) | st.text(alphabet='"*^(){}:+-~ANDORNEAT.,\0\ud800 ab', max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_nothing_that_is_typed_is_grammar(three: Library, typed: str) -> None:
    three.search(typed)
    three.keep(view("typed", 9.0, transcript=f"x {typed} qqq"))
    assert found(three, f"{typed} qq") == ["typed"]


def test_a_search_as_long_as_a_book_is_answered(three: Library) -> None:
    assert found(three, " ".join(f"w{n}" for n in range(100_000))) == []


# Nothing left behind


CANARY = "Zanzibarsky"


def places_of(needle: str, folder: Path) -> list[str]:
    forms = [needle.encode(), needle.lower().encode(), needle.encode("utf-16-le"), needle.encode("utf-16-be")]
    return [p.name for p in folder.iterdir() if any(form in p.read_bytes() for form in forms)]


@pytest.mark.fault("D12")
def test_no_file_shows_what_is_kept(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one", 1.0, label=CANARY, transcript=CANARY * 3, note=[CANARY]))
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        library.keep_token(CANARY, CANARY)
        names = {p.name for p in path.parent.iterdir()}
        assert {"library.db", "library.db-wal", "library.before-2"} <= names
        assert places_of(CANARY, path.parent) == []
        assert library.size_bytes == sum(p.stat().st_size for p in path.parent.iterdir())


def test_files_are_closed_to_others(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such modes")
    with library_at(path) as library:
        library.keep(view("one"))
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))):
        assert {p.name: p.stat().st_mode & 0o077 for p in path.parent.iterdir() if p.stat().st_mode & 0o077} == {}


@pytest.mark.fault("H4")
def test_an_erased_session_is_in_no_table_no_log_and_no_backup(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one", 1.0, transcript="cough"))
        library.keep(view("two", 2.0, transcript="fever"))
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        backup = path.with_name("library.before-2")
        library.keep(view("three", 3.0, transcript="rash"))
        library.erase(SessionId("three"))
        assert backup.exists(), "it was made before that session"
        library.erase(SessionId("one"))
        assert not backup.exists()
        assert [session.id for session in library.sessions()] == ["two"]
        assert (found(library, "cough"), found(library, "fever")) == ([], ["two"])
        assert path.with_name("library.db-wal").stat().st_size == 0
    with closing(database.open_to_read(path, KEY)) as db:
        pages = [bytes(row[0]) for row in db.execute("SELECT block FROM words_data")]
        assert not any(b"cough" in page for page in pages)


@pytest.mark.fault("T5")
def test_a_forgotten_token_is_in_no_backup(path: Path) -> None:
    with library_at(path) as library:
        library.keep_token("cloud", "secret")
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        library.forget_token("cloud")
    assert [p.name for p in path.parent.iterdir()] == ["library.db"]


# Trouble


@pytest.mark.fault("D9")
def test_a_newer_library_is_left_as_it_is(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one"))
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))):
        pass
    before = path.read_bytes()
    with library_at(path) as library:
        assert library.problem is not None
        assert library.problem.kind is ProblemKind.LIBRARY_NEWER
        library.keep(view("two"))
        assert [session.id for session in library.sessions()] == ["two"]
    assert path.read_bytes() == before


@pytest.mark.fault("D9")
def test_so_is_one_whose_app_was_killed(path: Path) -> None:
    newer = f"""
import os, sys
from pathlib import Path
from app.store.library import Library
from app.store.migrations import STEPS
from tests.store.library_child import KEY, SECOND
library = Library.open(Path({str(path)!r}), KEY, steps=(*STEPS, SECOND))
library.remember("a", "b")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", newer], cwd=ROOT, check=True)
    log = path.with_name("library.db-wal")
    before = (path.read_bytes(), log.read_bytes())
    assert before[1]
    with library_at(path) as library:
        assert library.problem is not None
        assert library.problem.kind is ProblemKind.LIBRARY_NEWER
    assert (path.read_bytes(), log.read_bytes()) == before


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("library.unreadable-*"))


@pytest.mark.fault("D8")
@pytest.mark.parametrize(
    "damage", [b"", b"SQLite format 3\0" + bytes(9000), bytes(range(256)) * 64], ids=["short", "plain", "noise"]
)
def test_a_library_that_will_not_open_is_set_aside(path: Path, damage: bytes) -> None:
    with library_at(path) as library:
        library.keep(view("one"))
    damaged = damage or path.read_bytes()[:1000]
    path.write_bytes(damaged)
    with library_at(path) as library:
        assert library.problem is not None
        assert library.problem.kind is ProblemKind.LIBRARY_SET_ASIDE
        assert [p.read_bytes() for p in aside(path)] == [damaged]
        library.keep(view("two"))
    with library_at(path) as library:
        assert library.problem is None
        assert [session.id for session in library.sessions()] == ["two"]


@pytest.mark.fault("K2")
def test_a_library_under_another_key_is_not_lost(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one"))
    before = path.read_bytes()
    with library_at(path, bytes(32)) as library:
        assert library.sessions() == ()
    (kept,) = aside(path)
    assert kept.read_bytes() == before
    with library_at(kept) as library:
        assert [session.id for session in library.sessions()] == ["one"]


@pytest.mark.fault("D7")
def test_a_flipped_bit_never_makes_a_wrong_row(tmp_path: Path) -> None:
    whole = [visit_no(number) for number in range(12)]
    with library_at(tmp_path / "whole.db") as library:
        for session in whole:
            library.keep(session)
        library.keep_token("cloud", "t")
    good = (tmp_path / "whole.db").read_bytes()
    chance = random.Random(4)
    lost: list[int] = []
    for run in range(100):
        folder = tmp_path / str(run)
        folder.mkdir()
        rotten = bytearray(good)
        rotten[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        (folder / "library.db").write_bytes(rotten)
        look_at_rotten(folder / "library.db", bytes(rotten), whole, lost)
    # A page holds a few views, or part of one, or leads to many.
    assert lost.count(0) + lost.count(1) > len(lost) * 0.8


def look_at_rotten(path: Path, rotten: bytes, whole: list[SessionView], lost: list[int]) -> None:
    with library_at(path) as library:
        first = library.sessions()
        hits = library.search("visit")
        assert library.token("cloud") in ("t", None)
        listed = library.sessions()
        assert set(listed) <= set(first) <= set(whole)
        assert set(hits) <= {session.id for session in whole}
        library.keep(view("next", 99.0))
        if library.problem is None:  # The bit was in a page that nothing is in, or that was not read.
            assert len(listed) == len(whole)
            return
        assert library.problem.kind is ProblemKind.LIBRARY_SET_ASIDE
        if rotten[:4096] == (path.parent.parent / "whole.db").read_bytes()[:4096]:  # It holds the key to all others.
            lost.append(len(whole) - len(listed))
    assert rotten in [p.read_bytes() for p in aside(path)]
    with library_at(path) as library:
        assert library.sessions() == (view("next", 99.0), *listed)


def test_where_nothing_can_be_written_a_library_in_memory_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with library_at(tmp_path / "file" / "library.db") as library:
        assert library.problem is not None
        assert not library.is_durable
        library.keep(view("one", transcript="cough"))
        assert found(library, "cough") == ["one"]


def keep_many(library: Library) -> None:
    for number in range(100):
        library.keep(visit_no(number))


@needs_small_disk
@pytest.mark.fault("D1")
def test_a_full_disk_refuses_and_costs_nothing(path: Path) -> None:
    with library_at(path) as library:
        library.keep(view("one", 1.0))
        with largest_file(40_000), pytest.raises(OSError, match="SQLITE"):
            keep_many(library)
        library.keep(view("last", 1e9))
        kept = library.sessions()
        assert (kept[0].id, kept[-1].id) in (("last", "one"), ("last", "s0"))
        assert library.problem is None
    with library_at(path) as library:
        assert library.sessions() == kept


# Bringing up to date


def test_a_new_version_finds_everything_and_leaves_a_backup_that_the_old_one_reads(path: Path) -> None:
    with library_at(path) as library:
        library.keep(visit_no(7))
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        assert library.problem is None
        assert library.sessions() == (visit_no(7, "moved"),)
        assert found(library, "asha 7") == ["s7"]
    with library_at(path.with_name("library.before-2")) as backup:
        assert backup.sessions() == (visit_no(7),)


def test_a_change_that_fails_is_taken_back_whole(path: Path) -> None:
    with library_at(path) as library:
        library.keep(visit_no(7))
    failing = (*SECOND, "INSERT INTO nowhere VALUES (1)")
    with closing(Library.open(path, KEY, steps=(*STEPS, failing))) as library:
        assert library.problem is not None
        assert library.problem.kind is ProblemKind.LIBRARY_SET_ASIDE
        assert library.sessions() == ()
    with library_at(path) as library:
        assert library.problem is None
        assert library.sessions() == (visit_no(7),)
    with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        assert library.problem is None
        assert library.sessions() == (visit_no(7, "moved"),)


@needs_small_disk
def test_where_no_backup_fits_nothing_is_changed(path: Path) -> None:
    with library_at(path) as library:
        for number in range(30):
            library.keep(visit_no(number))
    size = path.stat().st_size
    with largest_file(size // 2), closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
        assert library.problem is not None
        assert not library.is_durable
    with library_at(path) as library:
        assert library.problem is None
        assert len(library.sessions()) == 30


# Kills


def child(path: Path, task: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.library_child", str(path), task]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_while_keeping(path: Path, runs: int, chance: random.Random) -> None:
    told = -1
    for _ in range(runs):
        with child(path, "keep") as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 25)):
                told = int(process.stdout.readline())
            wait_a_little(process, chance.random() * 0.01)
            process.kill()
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        with library_at(path) as library:
            assert library.problem is None
            kept = library.sessions(limit=100_000)
            assert len(kept) >= told + 1
            assert kept == tuple(visit_no(number) for number in reversed(range(len(kept))))
            assert len(found(library, "asha")) == min(200, len(kept))


def wait_a_little(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return


def kill_while_moving(path: Path, runs: int, chance: random.Random) -> set[str]:
    """Each kill comes at another moment; what is found is all old or all new."""
    outcomes = set()
    for _ in range(runs):
        for each in path.parent.iterdir():
            each.unlink()
        with library_at(path) as library:
            for number in range(60):
                library.keep(visit_no(number))
        with child(path, "move") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            wait_a_little(process, chance.random() * 0.06)
            process.kill()
        with closing(database.open_to_read(path, KEY)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        microphone = "moved" if version == 2 else ""
        with closing(Library.open(path, KEY, steps=(*STEPS, SECOND)[:version])) as library:
            assert library.problem is None
            assert library.sessions() == tuple(visit_no(number, microphone) for number in reversed(range(60)))
        outcomes.add(microphone)
        with closing(Library.open(path, KEY, steps=(*STEPS, SECOND))) as library:
            assert library.problem is None
            assert library.sessions() == tuple(visit_no(number, "moved") for number in reversed(range(60)))
    return outcomes


@pytest.mark.fault("P6")
def test_a_kill_costs_nothing_that_was_kept(path: Path) -> None:
    kill_while_keeping(path, 3, random.Random(1))


@pytest.mark.slow
@pytest.mark.fault("P6")
def test_many_kills_cost_nothing_that_was_kept(path: Path) -> None:
    kill_while_keeping(path, 60, random.Random(2))


@pytest.mark.fault("D10")
def test_a_kill_amid_a_change_leaves_the_old_or_the_new(path: Path) -> None:
    kill_while_moving(path, 3, random.Random(1))


@pytest.mark.slow
@pytest.mark.fault("D10")
def test_many_kills_amid_a_change_leave_the_old_or_the_new(path: Path) -> None:
    assert kill_while_moving(path, 60, random.Random(2)) == {"", "moved"}
