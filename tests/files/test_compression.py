"""Compressed files: whole archives, whatever fails and whenever the process ends."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import given, settings

from logflume import ConfigurationError
from logflume.files.compression import PARTIAL_SUFFIX, Compression, compression_of, recover
from logflume.files.formats import FORMATS
from tests.fakes import name_of_case, unmeasured

posix = pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
    "gzip": gzip.decompress,
    "xz": lzma.decompress,
    "bz2": bz2.decompress,
}
PROGRAMS = {"zstd": "zstd", "gzip": "gzip", "xz": "xz", "bz2": "bzip2"}
LINES = b"".join(b'{"level":"INFO","message":"line %d"}\n' % n for n in range(20_000))
NAME = "app.2024-05-01.jsonl"
PARTIAL = f".{NAME}{PARTIAL_SUFFIX}"

formats = pytest.mark.parametrize("name", UNPACK)


def compression(given: object) -> Compression:
    made = compression_of(given)
    assert made is not None
    return made


def is_ours(name: str) -> bool:
    return name.startswith("app.") and name.endswith(".jsonl")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(LINES)
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_789))
    return path


# What comes out


@formats
def test_a_file_becomes_its_archive(source: Path, name: str) -> None:
    """The archive holds every byte, has the file's time and permissions, and replaces the file."""
    compressing = compression(name)
    target = compressing.compress(source, 0o640)
    assert target == source.with_name(NAME + compressing.suffix)
    assert names(source.parent) == [target.name]
    assert UNPACK[name](target.read_bytes()) == LINES
    assert target.stat().st_mtime_ns // 1_000 == 1_600_000_000_123_456
    assert target.stat().st_size < len(LINES) / 5


@formats
@settings(max_examples=25, deadline=None)
@given(size=st.integers(0, 2**20 + 1), seed=st.integers(0, 2**32), level=st.integers(1, 3))
def test_any_content_survives(
    tmp_path_factory: pytest.TempPathFactory, name: str, size: int, seed: int, level: int
) -> None:
    """Nothing, a byte, or many chunks that cannot be made smaller: the same comes out again."""
    folder = tmp_path_factory.mktemp("any")
    data = random.Random(seed).randbytes(size)
    (folder / "log").write_bytes(data)
    target = compression(f"{name}:{level}").compress(folder / "log", 0o600)
    assert target is not None
    assert UNPACK[name](target.read_bytes()) == data


@pytest.mark.real
@formats
@pytest.mark.parametrize("content", [b"", b"one\n", LINES], ids=len)
def test_the_formats_own_programs_agree(source: Path, name: str, content: bytes) -> None:
    """`zstd -t` and its like find no fault, and unpack what was packed."""
    program = shutil.which(PROGRAMS[name])
    if program is None:
        pytest.skip(f"{PROGRAMS[name]} is not installed")
    source.write_bytes(content)
    target = compression(name).compress(source, 0o600)
    for option in ("-t", "-dc"):
        done = subprocess.run([program, option, str(target)], capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
    assert done.stdout == content


@posix
@pytest.mark.parametrize("given", ["zstd", lambda source, target: target.write_bytes(b"x")])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_permissions_are_those_asked_for(source: Path, given: object, mode: int) -> None:
    """An archive has just the permissions `mode`, whatever the umask is, as the file itself."""
    before = os.umask(0o077)
    try:
        target = compression(given).compress(source, mode)
    finally:
        os.umask(before)
    assert target is not None
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_level_makes_a_difference(tmp_path: Path) -> None:
    """A higher level gives a smaller archive."""
    sizes = []
    for level in ("zstd:1", "zstd:19"):
        (tmp_path / level).write_bytes(LINES)
        target = compression(level).compress(tmp_path / level, 0o600)
        assert target is not None
        sizes.append(target.stat().st_size)
    assert sizes[1] < sizes[0]


# Functions of the user's


def test_a_function_packs_in_its_own_way(source: Path) -> None:
    """It gets the source and an empty file under a temporary name, and may have a suffix."""
    seen: list[Any] = []

    def reverse(source: Path, target: Path) -> None:
        seen.append((source.name, target.name, target.read_bytes()))
        target.write_bytes(source.read_bytes()[::-1])

    assert compression(reverse).suffix == ".compressed"
    target = compression((".rev", reverse)).compress(source, 0o600)
    assert seen == [(NAME, PARTIAL, b"")]
    assert target is not None
    assert target.read_bytes() == LINES[::-1]
    assert names(source.parent) == [NAME + ".rev"]


@posix
def test_a_function_may_replace_its_target(source: Path) -> None:
    """As programs do that write a file of their own: it gets the permissions, too."""

    def replace(source: Path, target: Path) -> None:
        target.unlink()
        target.write_bytes(b"new")
        target.chmod(0o666)
        source.unlink()

    target = compression(replace).compress(source, 0o640)
    assert target is not None
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(source.parent) == [target.name]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files of Linux")
def test_a_target_that_could_not_be_renamed_while_open_is_closed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows renames no file that is open, not even for reading."""
    open_then: list[str] = []
    rename = os.rename

    def noticed(old: str, new: Path) -> None:
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                open_then.append(os.readlink(f"/proc/self/fd/{fd}"))
        rename(old, new)

    compression = compression_of((".copy", shutil.copyfile))
    assert compression is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", noticed)
        patched.setattr(sys, "platform", "win32")
        archive = compression.compress(source, 0o600)
    assert archive is not None
    assert archive.exists()
    assert not source.exists()
    assert open_then
    assert not [path for path in open_then if path.endswith(".tmp")]


def test_a_function_that_fails_leaves_the_source(source: Path) -> None:
    """What it raises comes out; what it wrote is gone."""

    def fail(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compression(fail).compress(source, 0o600)
    assert names(source.parent) == [NAME]


@posix
def test_a_function_that_leaves_a_link_is_not_followed(source: Path, tmp_path: Path) -> None:
    """A link in place of the archive is refused."""
    (tmp_path / "elsewhere").write_bytes(b"secret")

    def link(source: Path, target: Path) -> None:
        target.unlink()
        target.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        compression(link).compress(source, 0o600)
    assert names(tmp_path) == [NAME, "elsewhere"]


# Interruption and errors


@formats
def test_a_stop_leaves_the_source(source: Path, name: str) -> None:
    """Asked between chunks; then nothing has happened, and it can be done again."""
    asked = 0

    def after_two() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    assert compression(name).compress(source, 0o600, after_two) is None
    assert asked == 3
    assert names(source.parent) == [NAME]
    assert source.read_bytes() == LINES
    assert compression(name).compress(source, 0o600) is not None


def test_a_stop_comes_before_a_function(source: Path) -> None:
    """A function is not begun any more."""
    assert compression(lambda source, target: 1 / 0).compress(source, 0o600, lambda: True) is None
    assert names(source.parent) == [NAME]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@formats
def test_a_disk_that_takes_no_more_leaves_the_source(source: Path, name: str) -> None:
    """An archive that does not fit is removed."""
    data = random.Random(1).randbytes(2**20)
    source.write_bytes(data)
    with files_of_at_most(100_000), pytest.raises(OSError, match="too large"):
        compression(name).compress(source, 0o600)
    assert names(source.parent) == [NAME]
    assert source.read_bytes() == data


@pytest.mark.parametrize("given", ["gzip", lambda source, target: None], ids=["format", "function"])
@pytest.mark.parametrize("size", [10, len(LINES) + 10])
def test_a_source_that_changes_stays(source: Path, given: object, size: int) -> None:
    """A file that somebody still writes to, or cuts, is not deleted for an archive of less."""

    def change() -> bool:
        os.truncate(source, size)
        return False

    with pytest.raises(OSError, match="while it was compressed"):
        compression(given).compress(source, 0o600, change)
    assert names(source.parent) == [NAME]


STEPS = ("open", "fchmod", "fsync", "utime", "link", "unlink", "lstat")


class Steps:
    """Count calls of functions of `os`, and do something instead of the one with this number."""

    def __init__(self, number: int, instead: Callable[[], None]) -> None:
        self.left = number
        self.instead = instead

    def install(self, patch: Any) -> None:
        for name in STEPS:
            patch(os, name, partial(self._call, getattr(os, name)))
        patch(os, "supports_fd", {os.utime})

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.instead()
        return function(*args, **options)


def fail() -> None:
    raise OSError(errno.EIO, "broken")


@posix
@pytest.mark.parametrize("number", range(1, 20))
def test_an_error_at_any_step_keeps_one_of_both_whole(
    source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The source stays, an archive of its name is complete, and doing it again mends all."""
    steps = Steps(number, fail)
    with monkeypatch.context() as patch:
        steps.install(patch.setattr)
        with suppress(OSError):
            compression("zstd").compress(source, 0o600)
    assert number < 15 or steps.left > 0, "more steps than are tried"
    check_and_mend(source)


@posix
def test_each_step_is_on_disk_before_the_next(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive before its name, its name before the source is gone: power may fail."""
    done: list[str] = []

    def note(name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        what = args[0]
        if name == "fsync":
            what = "folder" if stat.S_ISDIR(os.fstat(what).st_mode) else "file"
        done.append(f"{name} {what if name == 'fsync' else Path(what).name}")
        return function(*args, **options)

    for name in ("fsync", "link", "unlink"):
        monkeypatch.setattr(os, name, partial(note, name, getattr(os, name)))
    compression("zstd").compress(source, 0o600)
    assert done == [
        "fsync file",
        f"link {PARTIAL}",
        f"unlink {PARTIAL}",
        "fsync folder",
        f"unlink {NAME}",
    ]


CRASH = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.files.test_compression import NAME, Steps, compression

for number in range(1, 20):
    if os.fork() == 0:
        Steps(number, lambda: os._exit(9)).install(setattr)
        compression("zstd").compress(Path({folder!r}, str(number), NAME), 0o600)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@posix
def test_a_crash_at_any_step_keeps_one_of_both_whole(tmp_path: Path) -> None:
    """A process that ends at once, before any call of the system, leaves what can be mended."""
    for number in range(1, 20):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / NAME).write_bytes(LINES)
    code = CRASH.format(root=str(Path(__file__).parents[2]), folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=unmeasured(),
    )
    codes = list(map(int, done.stdout.split()))
    crashed = codes.count(9)
    assert codes == [9] * crashed + [0] * (19 - crashed)
    assert 8 <= crashed < 19
    seen = {tuple(names(tmp_path / str(number))) for number in range(1, 20)}
    packed = NAME + ".zst"
    assert seen == {
        (NAME,),
        (PARTIAL, NAME),
        (PARTIAL, NAME, packed),
        (NAME, packed),
        (packed,),
    }
    for number in range(1, 20):
        check_and_mend(tmp_path / str(number) / NAME)


def check_and_mend(source: Path) -> None:
    folder, target = source.parent, source.with_name(NAME + ".zst")
    assert source.exists() or target.exists()
    if source.exists():
        assert source.read_bytes() == LINES
    if target.exists():
        assert UNPACK["zstd"](target.read_bytes()) == LINES
    complete = target.exists()
    recover(folder, is_ours)
    assert names(folder) == [target.name if complete else NAME]
    if not complete:
        compression("zstd").compress(source, 0o600)
    assert names(folder) == [target.name]


# Names that are taken


def test_an_archive_is_never_overwritten(source: Path) -> None:
    """A name that is taken by something else is an error, before any work is done."""
    taken = source.with_name(NAME + ".gz")
    taken.write_bytes(b"something else")
    with pytest.raises(FileExistsError, match=r"\.gz"):
        compression("gzip").compress(source, 0o600, lambda: False)
    assert taken.read_bytes() == b"something else"
    assert source.read_bytes() == LINES
    assert names(source.parent) == [NAME, taken.name]


@pytest.mark.parametrize("links", [True, False])
def test_a_name_taken_meanwhile_is_not_overwritten(
    source: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Nor is one that appears while the archive is made, on disks with hard links and without."""
    taken = source.with_name(NAME + ".gz")
    if not links:
        without_links(monkeypatch)

    def meanwhile() -> bool:
        taken.write_bytes(b"something else")
        return False

    with pytest.raises(FileExistsError, match=r"\.gz"):
        compression("gzip").compress(source, 0o600, meanwhile)
    assert taken.read_bytes() == b"something else"
    assert names(source.parent) == [NAME, taken.name]


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: Any, **options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_disks_without_hard_links_do(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files cannot have two names, they are renamed."""
    without_links(monkeypatch)
    target = compression("gzip").compress(source, 0o600)
    assert target is not None
    assert names(source.parent) == [target.name]
    assert gzip.decompress(target.read_bytes()) == LINES


def test_a_source_that_is_gone_is_told_as_that(source: Path) -> None:
    """Compressed or deleted by another process, say: its archive is not in the way of anything."""
    assert compression("gzip").compress(source, 0o600) is not None
    with pytest.raises(FileNotFoundError):
        compression("gzip").compress(source, 0o600)
    assert names(source.parent) == [NAME + ".gz"]


def test_an_archive_that_is_there_already_is_taken(source: Path) -> None:
    """Made before a crash, say: the source goes, the archive stays as it is."""
    target = source.with_name(NAME + ".gz")
    target.write_bytes(gzip.compress(LINES, mtime=1))
    before = target.read_bytes()
    assert compression("gzip").compress(source, 0o600) == target
    assert target.read_bytes() == before
    assert names(source.parent) == [target.name]


@posix
@pytest.mark.parametrize("where", ["partial", "target"])
@pytest.mark.parametrize("dangling", [True, False])
def test_links_in_the_way_are_not_followed(
    source: Path, tmp_path: Path, where: str, dangling: bool
) -> None:
    """A symbolic link planted where the archive is to be is an error; what it names is safe."""
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(gzip.compress(LINES))
        before = victim.read_bytes()
    planted = tmp_path / {"partial": PARTIAL, "target": NAME + ".gz"}[where]
    planted.symlink_to(victim)
    with pytest.raises(FileExistsError):
        compression("gzip").compress(source, 0o600)
    assert planted.is_symlink()
    assert source.read_bytes() == LINES
    assert victim.exists() != dangling
    if not dangling:
        assert victim.read_bytes() == before
    recover(tmp_path, is_ours)
    assert source.exists()
    assert planted.is_symlink() == (where == "target")


@posix
def test_only_regular_files_are_compressed(tmp_path: Path) -> None:
    """A link, a folder or a pipe in place of the source is an error, and nothing waits for it."""
    (tmp_path / "real").write_bytes(LINES)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    for name in ("link", "folder", "pipe", "missing"):
        with pytest.raises(OSError, match=name):
            compression("gzip").compress(tmp_path / name, 0o600)
    assert names(tmp_path) == before


@posix
def test_a_file_put_under_the_temporary_name_is_no_archive(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should another process replace the partial archive, that is told, and the source stays."""
    link = os.link

    def replaced(old: str, new: Path, **options: Any) -> None:
        os.unlink(old)
        Path(old).write_bytes(b"another one's, not complete")
        link(old, new, **options)

    monkeypatch.setattr(os, "link", replaced)
    with pytest.raises(OSError, match="another process"):
        compression("gzip").compress(source, 0o600)
    assert source.read_bytes() == LINES
    assert names(source.parent) == [NAME]


# Recovery


@formats
def test_recovery_trusts_only_archives_of_just_that_file(tmp_path: Path, name: str) -> None:
    """Broken, cut, longer or other archives keep the source, and stay themselves."""
    suffix = compression(name).suffix
    packing = FORMATS[list(UNPACK).index(name)].pack

    def pack(data: bytes) -> bytes:
        packer = packing(1, len(data))
        return packer.compress(data) + packer.flush()

    whole = pack(LINES)
    broken = {
        "cut": whole[:-1],
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "longer": whole + b"x",
        "two": whole + whole,
        "other": pack(LINES.replace(b"19999", b"99999")),
        "more": pack(LINES + b"x"),
        "less": pack(LINES[:-1]),
        "flipped": whole[:1_000] + bytes([whole[1_000] ^ 4]) + whole[1_001:],
    }
    for kind, data in broken.items():
        (tmp_path / f"app.{kind}.jsonl").write_bytes(LINES)
        (tmp_path / f"app.{kind}.jsonl{suffix}").write_bytes(data)
    before = names(tmp_path)
    (tmp_path / "app.whole.jsonl").write_bytes(LINES)
    (tmp_path / f"app.whole.jsonl{suffix}").write_bytes(whole)
    recover(tmp_path, is_ours)
    assert names(tmp_path) == sorted([*before, f"app.whole.jsonl{suffix}"])


def test_recovery_touches_nothing_of_others(tmp_path: Path) -> None:
    """Only names that are ours are looked at, and folders never deleted."""
    for name in (".other.tmp", "other", "app.1.jsonl", ".app.1.jsonl.tmpx", "app.2.jsonl.tmp"):
        (tmp_path / name).write_bytes(b"data")
    (tmp_path / "other.gz").write_bytes(gzip.compress(b"data"))
    (tmp_path / ".app.3.jsonl.tmp").mkdir()
    before = names(tmp_path)
    (tmp_path / ".app.1.jsonl.tmp").write_bytes(b"partial")
    recover(tmp_path, is_ours)
    assert names(tmp_path) == before
    recover(tmp_path / "missing", is_ours)


@posix
def test_recovery_leaves_what_is_being_made(source: Path) -> None:
    """A partial archive that a process works at now is none that a crash left."""

    def meanwhile() -> bool:
        recover(source.parent, is_ours)
        assert PARTIAL in names(source.parent)
        return False

    assert compression("gzip").compress(source, 0o600, meanwhile) is not None


def test_recovery_goes_on_after_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that cannot be deleted does not keep the others; the error is told in the end."""
    for number in (1, 2, 3):
        source.with_name(f".app.{number}.jsonl.tmp").write_bytes(b"partial")
    unlink = os.unlink

    def refuse(path: Any) -> None:
        if ".app.2." in str(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(PermissionError):
        recover(source.parent, is_ours)
    assert names(source.parent) == [".app.2.jsonl.tmp", NAME]


def test_recovery_can_be_stopped(source: Path) -> None:
    """Then files are as they are, and the next recovery finds them."""
    partial_ = source.with_name(PARTIAL)
    partial_.write_bytes(b"partial")
    source.with_name(NAME + ".gz").write_bytes(gzip.compress(LINES))
    before = names(source.parent)
    recover(source.parent, is_ours, lambda: True)
    assert names(source.parent) == before
    recover(source.parent, is_ours)
    assert names(source.parent) == [NAME + ".gz"]


# Settings


@pytest.mark.parametrize(
    ("given", "suffix"),
    [
        ("zstd", ".zst"),
        ("zst", ".zst"),
        ("ZSTD:19", ".zst"),
        ("gzip", ".gz"),
        ("gz:9", ".gz"),
        ("xz:0", ".xz"),
        ("bz2", ".bz2"),
        ("bzip2:1", ".bz2"),
        ((".lz4", print), ".lz4"),
        ([".tar.gz", print], ".tar.gz"),
        (print, ".compressed"),
    ],
    ids=repr,
)
def test_settings(given: object, suffix: str) -> None:
    """A name, a name and a level, a function, a suffix and a function."""
    made = compression(given)
    assert made.suffix == suffix
    assert repr(made) == f"Compression({given!r})"


def test_no_compression() -> None:
    """None is none."""
    assert compression_of(None) is None


async def asynchronous(source: Path, target: Path) -> None: ...


@pytest.mark.parametrize(
    "given",
    [
        "", "zip", "zstd:0", "zstd:23", "zstd:", "zstd:x", "zstd:²", "gzip:10", "gzip:1:2", ":3",
        True, 5, b"zstd", int, asynchronous, (), ("zstd", 9), ("lz4", print), (".", print),
        ("./x", print), (".a\0", print), (".tmp", print), (".lz4", print, 1), (5, print),
        (".lz4", None), {}, object(),
    ],
    ids=name_of_case,
)  # fmt: skip
def test_what_means_nothing_is_refused(given: Any) -> None:
    """Anything else is an error that names the setting, what was given, and what is accepted."""
    with pytest.raises(ConfigurationError, match=r"File\.compression: got .*accepted: .*zstd|gzip"):
        compression_of(given)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zstandard, the error says what to install; the other formats do without it."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigurationError, match="pip install zstandard"):
        compression_of("zstd")
    assert compression_of("gzip") is not None


def test_archives_of_a_missing_package_are_left_alone(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be checked is not believed."""
    source.with_name(NAME + ".zst").write_bytes(zstandard.ZstdCompressor().compress(LINES))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    recover(source.parent, is_ours)
    assert names(source.parent) == [NAME, NAME + ".zst"]
