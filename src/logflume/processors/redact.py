"""Secrets out of records, before any of them reaches a buffer, a disk or a callback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ..errors import ConfigurationError
from ..exception import ExceptionInfo, Frame
from ..glance import Glance
from ..mask import Mask
from ..prose import ACTIVE, INERT, SUSPECT, Prose, names_within
from ..record import Record
from ..secrets import Finder, Names, words_of
from ..setting import flag
from ..snapshot import SCALARS, safe_str
from ..template import pieces, render

__all__ = ["Redact"]

REPLACEMENT = "[redacted]"

_MOST_SHARED = 256
_CONTAINERS = frozenset({dict, list, tuple})
_AS_IT_IS = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


class Redact:
    """Replace secrets by `[redacted]`, wherever they are in a record: in fields at any depth and
    their keys, in the message, its template and arguments, and in what exceptions say.

    A secret is known by the name it goes under (`password`, `X-Api-Key`, `dbToken`, ...: whole
    words, in any spelling; its value is replaced whole, unless it is None, a bool or empty) or by
    its shape in any text (`password=...`, credentials in URLs, `Bearer ...`, JWTs, keys of known
    providers, PEM private keys, card numbers). A field that the template puts behind such a name
    (`"password={p}"`) is replaced, too. What names loggers, threads, tasks and call sites is not
    looked at.

    - `names`: further names; `*` stands for anything (`"customer_*"`). `keep`: names that are no
      secrets; shapes are still looked for in their values.
    - `patterns`: further shapes, regular expressions; of one with a group `secret`, that part.
    - `replacement`: what secrets are replaced by. With a `hash_key` (16 random bytes or more, the
      same wherever records are compared) that is `[redacted:<12 hex digits>]`, a keyed BLAKE2 hash
      (RFC 7693) by which equal secrets can be told from others.
    - `emails=True` redacts e-mail addresses; `cards=False` lets card numbers pass.

    Called on the pipeline's loop; does not wait. If it fails, the record's content is withheld.

    A batch passes for 0.15 µs per record if its values are words and numbers; for 0.3 with blanks
    in them, 1 to 1.5 with long words (ids, URLs, fractions) or a template whose values must be
    looked at together with it, 2 to 3 with nested values or positional arguments. What must be
    redacted costs 3 µs per record for a secret name, 15 for a secret in the message. Patterns of
    your own make all records cost so.

        Pipeline(sinks.Console(), redact=processors.Redact(names=["iban"], emails=True))
    """

    fail_closed = True
    inline = True
    logs_nothing = True  # so nothing that is logged meanwhile is its own, and may go past it

    def __init__(
        self,
        *,
        names: Iterable[str] = (),
        keep: Iterable[str] = (),
        patterns: Iterable[str | re.Pattern[str]] = (),
        replacement: str = REPLACEMENT,
        hash_key: bytes | None = None,
        cards: bool = True,
        emails: bool = False,
    ) -> None:
        flag("cards", cards)
        flag("emails", emails)
        own = _patterns(patterns)
        is_secret_name = Names(_names("names", names), _names("keep", keep))
        find = Finder(is_secret_name, cards=cards, emails=emails, patterns=own)
        self._mask = _mask(is_secret_name, find, replacement, hash_key, thorough=bool(own))
        self._prose = Prose(self._mask, is_secret_name)
        # What patterns of the user's own match, no glance can tell.
        self._glance = None if own else Glance(is_secret_name, cards=cards, emails=emails)
        # What was looked at before. The dicts are held, so that their ids stay theirs.
        self._shared: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._done: dict[int, tuple[Record, Record]] = {}

    def __repr__(self) -> str:
        return "Redact()"

    def __call__(self, record: Record) -> Record:
        """Return the record itself if there is no secret in it, else one without them."""
        done = self._done.pop(id(record), None)
        if done is not None and done[0] is record:
            return done[1]
        return self._redact(record)

    def passes(self, records: Sequence[Record], /) -> bool:
        """Whether each of these would come out as it went in.

        If not, what it found is kept for the calls that follow.
        """
        self._done.clear()
        try:
            return self._passes(records)
        except Exception:  # it is met again, and told, where the record is redacted
            self._done.clear()
            return False

    # A batch at once.

    def _passes(self, records: Sequence[Record]) -> bool:
        odd = [
            r
            for r in records
            if r.extra is not None or r.merged is not None or r.rendered is not None
        ]
        if self._glance is None:
            odd = list(records)
        elif len(odd) < len(records):
            plain = records
            if odd:
                apart = set(map(id, odd))
                plain = [r for r in records if id(r) not in apart]
            if not self._are_quiet(plain, self._glance):
                return False
            if not odd:
                return True
            self._done = {id(r): (r, r) for r in plain}
        pure = True
        for record in odd:
            redacted = self._redact(record)
            self._done[id(record)] = record, redacted
            pure = pure and redacted is record
        if pure:
            self._done.clear()
        return pure

    def _are_quiet(self, records: Sequence[Record], glance: Glance) -> bool:
        """Whether there is no secret in these, of which nothing is merged or rendered yet."""
        fresh = self._fresh(records)
        if fresh is None:
            return False
        dicts = [r.call_fields for r in records] + fresh
        names = set().union(*dicts)
        if not names <= self._mask.harmless and not all(map(self._mask.is_harmless, names)):
            return False
        data = _dumps(dicts)
        # What opens and closes the list, opens each object, and stands behind each name.
        least = 2 + len(dicts) + sum(map(len, dicts))
        plain = data is not None and glance.is_plain(data, least)
        if not plain and not self._are_quiet_values([d.values() for d in dicts], glance):
            return False
        args = [r.args for r in records if r.args]
        if args or not {r.template for r in records} <= self._prose.inert:
            if not self._are_quiet_values(args, glance):
                return False
            if not self._are_quiet_messages(records, glance):
                return False
        for fields in fresh:
            self._share(fields, fields)
        return True

    def _fresh(self, records: Sequence[Record]) -> list[dict[str, Any]] | None:
        """Return the bound fields and contexts never seen before; None if one has a secret."""
        fresh: list[dict[str, Any]] = []
        for given in ([r.bound for r in records], [r.context for r in records]):
            # All the same, mostly: that is found out by their addresses.
            same = given.count(given[0]) == len(given)
            for fields in given[:1] if same else {id(d): d for d in given}.values():
                known = self._shared.get(id(fields))
                if known is None:
                    fresh.append(fields)
                elif known[1] is not fields:
                    return None
        return fresh

    def _are_quiet_messages(self, records: Sequence[Record], glance: Glance) -> bool:
        """Whether the messages, and their templates, show no secret that the values do not."""
        new = {r.template for r in records}.difference(self._prose.kinds)
        # Text without placeholders is looked at as values are: there is much of it, from f-strings.
        prose = [template for template in new if "{" not in template]
        if not self._are_quiet_values([prose], glance):
            return False
        for template in prose:
            self._prose.keep(template, INERT)
        texts: list[str] = []
        for r in records:
            kind = self._prose.kind(r.template)
            if kind == SUSPECT:
                return False
            if r.args or (r.call_fields and kind == ACTIVE):
                texts.append(_rendered(r))
        return self._are_quiet_values([texts], glance)

    def _are_quiet_values(self, groups: Sequence[Iterable[Any]], glance: Glance) -> bool:
        """Whether no value is a secret or holds one: by a glance, or by a look at each."""
        values = [value for group in groups for value in group]
        flat = [value for value in values if type(value) not in _CONTAINERS]
        if len(flat) < len(values):
            for value in values:
                if type(value) in _CONTAINERS and self._mask.value(value) is not value:
                    return False
        data = _dumps(flat)
        if data is not None and glance.is_quiet(data):
            return True
        return all([self._mask.value(value) is value for value in flat])

    # What was looked at before.

    def _share(self, given: dict[str, Any], cleaned: dict[str, Any]) -> None:
        """Keep what came of bound fields or a context, which many records have in common."""
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        self._shared[id(given)] = given, cleaned

    def _shared_fields(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self._shared.get(id(given))
        if known is None:
            cleaned: dict[str, Any] = self._mask.mapping(given)
            self._share(given, cleaned)
            return cleaned
        return known[1]

    # One record.

    def _redact(self, record: Record) -> Record:
        changed: dict[str, Any] = {}
        call_fields = self._mask.mapping(record.call_fields)
        if call_fields is not record.call_fields:
            changed["call_fields"] = call_fields
        if record.bound and (bound := self._shared_fields(record.bound)) is not record.bound:
            changed["bound"] = bound
        if record.context and (own := self._shared_fields(record.context)) is not record.context:
            changed["context"] = own
        if record.args and (args := self._mask.items(record.args)) is not record.args:
            changed["args"] = args
        if record.merged is not None:
            merged = self._mask.mapping(record.merged)
            if changed or merged is not record.merged:
                changed["fields"] = merged
        exception = record.exception
        if exception is not None and (said := self._exception(exception)) is not exception:
            changed["exception"] = said
        changed |= self._message(record, changed)
        if not changed:
            return record
        redacted = record.replace(**changed)
        if "message" not in changed:
            redacted.rendered = None  # made of what is no longer in it
        return redacted

    def _message(self, record: Record, changed: dict[str, Any]) -> dict[str, Any]:
        """Return what must be changed for the message's sake, given what else is changed."""
        if record.rendered is not None and record.rendered != _rendered(record):
            return self._given_message(record, record.rendered, changed)
        kind = self._prose.kind(record.template)
        if record.args:
            return self._filled_by_args(record, changed)
        if not record.call_fields:  # it is literal
            return {"template": self._mask.text(record.template)} if kind == SUSPECT else {}
        return self._filled_by_fields(record, changed) if kind != INERT else {}

    def _given_message(
        self, record: Record, rendered: str, changed: dict[str, Any]
    ) -> dict[str, Any]:
        """Redact a message that is not what the template makes of the values."""
        found: dict[str, Any] = {}
        template = self._prose.without_secrets(record.template)
        if template is not record.template:
            found["template"] = template
        message = self._mask.text(rendered)
        if changed or found or message is not rendered:
            found["message"] = message
        return found

    def _filled_by_args(self, record: Record, changed: dict[str, Any]) -> dict[str, Any]:
        fields = _fields(record, changed)
        found: dict[str, Any] = {}
        template = self._prose.without_secrets(record.template)
        if template is not record.template:
            found["template"] = template
        text = render(record.template, changed.get("args", record.args), fields)
        message = self._mask.text(text)
        if found or message is not text:  # the arguments have done their work
            found |= {"message": message, "args": ()}
            parts = pieces(record.template, fields)
            spans = self._mask.spans("".join([part for part, _ in parts]))
            found |= self._without_fields(names_within(parts, spans), record, changed)
        return found

    def _filled_by_fields(self, record: Record, changed: dict[str, Any]) -> dict[str, Any]:
        fields = _fields(record, changed)
        parts = pieces(record.template, fields)
        text = "".join([part for part, _ in parts])
        spans = self._mask.spans(text)
        tainted = names_within(parts, spans)
        # What looked like a placeholder is text, if nothing is known by its name.
        is_text = not tainted <= fields.keys()
        redact = self._mask.text if is_text else self._prose.without_secrets
        found: dict[str, Any] = {}
        template = redact(record.template)
        if template is not record.template:
            found["template"] = template
        if spans or found:
            found["message"] = self._mask.text(text, spans)
        return found | self._without_fields(tainted, record, changed)

    def _without_fields(
        self, names: set[str], record: Record, changed: dict[str, Any]
    ) -> dict[str, Any]:
        """Hide what the template puts where a secret is."""
        found: dict[str, Any] = {}
        for part in ("call_fields", "bound", "context", "fields"):
            given = changed.get(part, record.merged if part == "fields" else getattr(record, part))
            if given and not names.isdisjoint(given):
                found[part] = {
                    name: self._mask.hide(value) if name in names else value
                    for name, value in given.items()
                }
        return found

    def _exception(self, info: ExceptionInfo) -> ExceptionInfo:
        linked = [info.cause, info.context, *info.group]
        cleaned = [self._exception(other) if other is not None else None for other in linked]
        message = self._mask.text(info.message)
        notes = [self._mask.text(note) for note in info.notes]
        sources = [self._mask.text(frame.source) if frame.source else None for frame in info.frames]
        if (
            message == info.message
            and notes == info.notes
            and all(
                [source in (None, f.source) for f, source in zip(info.frames, sources, strict=True)]
            )
            and all([new is old for new, old in zip(cleaned, linked, strict=True)])
        ):
            return info
        frames = [
            Frame(f.file, f.line, f.function, source, f.span if source == f.source else None)
            for f, source in zip(info.frames, sources, strict=True)
        ]
        group = [member for member in cleaned[2:] if member is not None]
        return ExceptionInfo(info.type, message, frames, notes, cleaned[0], cleaned[1], group)


def _dumps(values: Any) -> bytes | None:
    try:
        return orjson.dumps(values, _as_text, _AS_IT_IS)
    except TypeError:  # numbers over 64 bits, lone surrogates, bytes that are no text, ...
        return None


def _as_text(value: Any) -> str:
    if type(value) is bytes:
        return value.decode()
    if type(value) in SCALARS:
        return safe_str(value)
    raise TypeError


def _fields(record: Record, changed: dict[str, Any]) -> dict[str, Any]:
    """Return all fields of a record, as changed so far, without merging them for good."""
    merged: dict[str, Any] | None = changed.get("fields", record.merged)
    if merged is not None:
        return merged
    parts = [changed.get(p, getattr(record, p)) for p in ("context", "bound", "call_fields")]
    return {**parts[0], **parts[1], **parts[2]}


def _rendered(record: Record) -> str:
    """Return what the message would be, without keeping it."""
    if not record.args and not record.call_fields:
        return record.template
    return render(record.template, record.args, _fields(record, {}))


def _listed(setting: str, given: Any, kind: type) -> list[Any]:
    """Return the items of a list, or of anything like it; of a single one, itself."""
    if isinstance(given, kind):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise ConfigurationError.of(setting, given, "a list")
    return list(given)


def _names(setting: str, given: Iterable[str]) -> list[str]:
    names = _listed(setting, given, str)
    for name in names:
        if not isinstance(name, str) or not words_of(name):
            raise ConfigurationError.of(setting, name, "names with letters or digits in them")
    return names


def _patterns(given: Iterable[str | re.Pattern[str]]) -> list[re.Pattern[str]]:
    accepted = "regular expressions for text, which match no empty text"
    patterns: list[re.Pattern[str]] = []
    for pattern in _listed("patterns", [given] if isinstance(given, str) else given, re.Pattern):
        try:
            compiled = re.compile(pattern)
            meant = isinstance(compiled.pattern, str) and not compiled.search("")
        except (re.error, TypeError):
            meant = False
        if not meant:
            raise ConfigurationError.of("patterns", pattern, accepted)
        patterns.append(compiled)
    return patterns


def _mask(
    is_secret_name: Names,
    find: Finder,
    replacement: str,
    hash_key: bytes | None,
    *,
    thorough: bool,
) -> Mask:
    if hash_key is not None and not (isinstance(hash_key, bytes) and 0 < len(hash_key) <= 64):
        raise ConfigurationError.of("hash_key", hash_key and "***", "1 to 64 bytes")
    if not isinstance(replacement, str) or not replacement:
        raise ConfigurationError.of("replacement", replacement, "text")
    mask = Mask(is_secret_name, find, replacement, hash_key, thorough=thorough)
    mark = mask.hide("x")
    if mark == REPLACEMENT:  # it is known to look like none
        return mask
    is_secret = Finder(Names(), cards=True, emails=True)(mark)
    for text in (mark, f"token={mark} x", f'"token": "{mark}"', f"ftp://u:{mark}@h"):
        if is_secret or mask.text(text) != text:
            accepted = "text that does not look like a secret itself"
            raise ConfigurationError.of("replacement", replacement, accepted)
    return mask
