"""A plain script, logged: progress, threads, exceptions, a file; no event loop in sight.

    python examples/script.py [-v | -q] [FOLDER]

It counts the words of the text files in a folder (by default, of a few that it makes up), some of
them at once. The console shows how it goes, in more detail with -v and only trouble with -q;
logs/script.jsonl has everything in any case.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from logflume import Pipeline, Route, get_logger, scope, sinks

log = get_logger("words")


def count(path: Path) -> Counter[str]:
    """Count the words of a file. Runs in threads, which need nothing special to log."""
    file_log = log.bind(file=path.name)
    file_log.debug("Reading")
    # What goes wrong with one file is logged with its traceback, and does not stop the others.
    with file_log.catch(message="Skipped"):
        words = Counter(path.read_text(encoding="utf-8").lower().split())
        if not words:
            file_log.warning("No words")
        file_log.debug("Counted {words} words", words=words.total())
        return words
    return Counter()


def count_all(paths: list[Path]) -> Counter[str]:
    """Count the words of all files, a few at a time, and say how far it is."""
    total: Counter[str] = Counter()
    with (
        scope("Words counted", logger=log, files=len(paths)) as work,
        ThreadPoolExecutor(4) as pool,
    ):
        told = time.monotonic()
        for done, words in enumerate(pool.map(count, paths), 1):
            total += words
            if time.monotonic() - told > 0.05 or done == len(paths):  # not for each of thousands
                told = time.monotonic()
                log.info("{done} of {files} files", done=done, files=len(paths))
        work.add(words=total.total(), different=len(total))
        if not paths:
            log.warning("There are no text files")
    return total


def make_up(folder: Path) -> None:
    """Write a few files, some of them odd."""
    for number in range(20):
        (folder / f"{number:02}.txt").write_text("the flume carries the logs downhill " * number)
    (folder / "latin.txt").write_bytes("Größe".encode("latin-1"))


def main(options: argparse.Namespace) -> int:
    """Count, show the result, and say whether all went well."""
    level = "DEBUG" if options.verbose else "WARNING" if options.quiet else "INFO"
    pipeline = Pipeline(
        Route(sinks.Console(), level=level),  # to stderr; stdout is for the result
        Route(sinks.File("logs/script.jsonl", rotation="10 MB", retention=3)),
        level="DEBUG",
    )
    # A thread of its own does the work. Leaving the block, by Ctrl-C or an exception, too, waits
    # until all is delivered: at most `shutdown_timeout`, 5 seconds.
    words: Counter[str] = Counter()
    with pipeline, log.catch(message="The script failed"):
        if options.folder is None:
            with tempfile.TemporaryDirectory() as folder:
                make_up(Path(folder))
                words = count_all(sorted(Path(folder).glob("*.txt")))
        else:
            words = count_all(sorted(options.folder.glob("*.txt")))
    for word, times in words.most_common(3):
        print(f"{times:6} {word}")
    return 0 if words else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count the words of the text files in a folder.")
    parser.add_argument("folder", type=Path, nargs="?", help="by default, one that is made up")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="show details")
    volume.add_argument("-q", "--quiet", action="store_true", help="show trouble only")
    sys.exit(main(parser.parse_args()))
