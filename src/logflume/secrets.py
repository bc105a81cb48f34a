"""What looks like a secret: by the name of a value, and by the shape of a text.

Pure and without state but for caches. Every search is linear in the length of the text: quantifiers
are possessive or bounded, and what lies within a secret is not looked at again.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator

from .pattern import lazy_pattern

__all__ = ["NEEDLES", "SHORTEST", "STEMS", "Finder", "Names", "Span", "find_cards", "words_of"]

Span = tuple[int, int]

_SECRET_NAMES = """
    password passwords passwd pwd passphrase passcode userpass dbpass mysqlpass smtppass
    dbpwd userpwd mysqlpwd
    token authtoken accesstokens refreshtokens authtokens apitokens
    secret secrets credential credentials creds
    apikey apikeys accesskey secretkey privatekey signingkey encryptionkey masterkey sharedkey
    accountkey licensekey storagekey functionkey authkey sshkey sessionkey
    authorization cookie cookies setcookie sessionid sessid jsessionid phpsessid
    csrf csrftoken xsrf jwt otp totp cvv cvc ssn amzsignature connectionstring
"""
SECRET_NAMES = frozenset(_SECRET_NAMES.split())
"""Secret as any run of whole words in a name, written together: `X-Api-Key`, `dbPassword`."""

SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey")
"""What a word, in which no capital tells others apart, ends with: `PGPASSWORD`, `clientsecret`."""

SECRET_WHOLE = frozenset({"pass", "auth", "sid", "bearer"})
"""Secret only as a whole name: `auth`, but not `auth_method`."""

_ABOUT = """
    count counts total length len size limit budget usage used min max rate cost price
    type kind format algorithm alg version url uri endpoint path file filename dir field name
    names id ids expiry expires expire expired expiration ttl age at in until updated created
    changed rotated status state valid invalid required enabled present missing policy strength
    index position issuer audience scope scopes domain header prefix reset stdin
"""
ABOUT = frozenset(_ABOUT.split())
"""A last word that makes a name tell something about a secret: `token_count`, `password_file`."""

_WORD = lazy_pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+|[A-Z]")
_MOST_KEPT = 4_096
_LONGEST_KEPT = 128
_LONGEST_RUN = 4


def words_of(name: str) -> list[str]:
    """Return a name's words in lower case: `X-Api-Key`, `xApiKey` and `X_API_KEY` are the same."""
    return [word.lower() for word in _WORD.findall(name)]


class Names:
    """Which names say that the value is a secret.

    `more` are further names, each a run of whole words like the built-in ones, or a pattern for
    the whole name if it has a `*`. `keep` are names that never are: they win over all the others.
    """

    def __init__(self, more: Iterable[str] = (), keep: Iterable[str] = ()) -> None:
        more, keep = list(more), list(keep)
        given = [words_of(name) for name in more if "*" not in name]
        self._secret = SECRET_NAMES | {"".join(words) for words in given}
        self._longest = max([_LONGEST_RUN, *map(len, given)])
        self._secret_patterns = _wildcards(more)
        self._keep = {"_".join(words_of(name)) for name in keep if "*" not in name}
        self._keep_patterns = _wildcards(keep)
        self._known: dict[str, bool] = {}
        self.added = ["".join(words) for words in given] + [name for name in more if "*" in name]

    def __call__(self, name: str) -> bool:
        """Whether a name is a secret's; looked up once."""
        known = self._known.get(name)
        if known is None:
            known = self._judge(name)
            if len(name) <= _LONGEST_KEPT:
                if len(self._known) >= _MOST_KEPT:  # keys may be data: they must not fill memory
                    self._known.clear()
                self._known[name] = known
        return known

    def _judge(self, name: str) -> bool:
        words = words_of(name)
        whole = "_".join(words)
        if whole in self._keep or any([p.fullmatch(whole) for p in self._keep_patterns]):
            return False
        if "".join(words) in SECRET_WHOLE or any(
            [p.fullmatch(whole) for p in self._secret_patterns]
        ):
            return True
        telling = bool(words) and words[-1] in ABOUT
        for start in range(len(words)):
            run = ""
            for end in range(start, min(start + self._longest, len(words))):
                run += words[end]
                is_secret = run in self._secret or (start == end and run.endswith(SECRET_ENDINGS))
                if is_secret and (end == len(words) - 1 or not telling):
                    return True
        return False


STEMS = (
    "pass", "pwd", "token", "secret", "cred", "key", "auth", "cookie", "sess", "sid", "csrf",
    "xsrf", "jwt", "otp", "cvv", "cvc", "ssn", "signature", "connectionstring", "bearer",
)  # fmt: skip
"""Every built-in name has one of these in it."""


def _wildcards(names: Iterable[str]) -> list[re.Pattern[str]]:
    """Return a pattern for each name with a `*`, matching names as their words joined by `_`."""
    found = []
    for name in names:
        if "*" in name:
            pieces = [_snake(piece) for piece in name.split("*")]
            found.append(re.compile(".*".join(map(re.escape, pieces)), re.DOTALL))
    return found


def _snake(piece: str) -> str:
    inner = "_".join(words_of(piece))
    before = "_" if piece[:1] in "_-. " and piece and inner else ""
    return before + inner + ("_" if piece[-1:] in "_-. " and piece else "")


# A name and what parts it from its value: `password=`, `"api-key": `, `Cookie: `, `token =>`.
_LETTER = r"A-Za-z0-9_\-\x80-\U0010ffff"
_PAIR = lazy_pattern(
    rf"(?<![{_LETTER}])((?:(?i:api|access|private|secret|session)[ ](?![ :=]))?[{_LETTER}]++)"
    r"(?:\\{0,8}[\"'])?[ \t]{0,8}+(?:=[=>]?|:=|:(?!:|//))\s{0,8}+"
)
# `--password hunter2`, also as a list shows it: `'--password', 'hunter2'`.
_OPTION = lazy_pattern(
    r"(?<![A-Za-z0-9_-])--([A-Za-z][A-Za-z0-9_-]*+)(?:[ \t]{1,8}+(?!-)|[\"'],[ ]?(?=[\"'][^-]))"
)

# What a URL has in its query, within another's: RFC 3986, section 2.1.
_ENCODED = lazy_pattern(r"(?i)%(?:3F|26)([A-Z0-9_.\-]{1,128}+)%3D((?:[^\s%&\"'<>#]++|%(?!26))++)")
_ELEMENT = lazy_pattern(
    r"<(?:[A-Za-z][\w.-]{0,64}+:)?([A-Za-z][\w.-]{0,64}+)(?:\s[^<>]{0,256}+)?>([^<]++)(?=</)"
)

# What may stand for a value, from its first character on. What the secret is, is in a group.
_SCHEME = (
    r"(?:(?i:basic|bearer|digest|token|apikey|negotiate|ntlm|aws4-hmac-sha256)[ \t]+(?=[^\s,;]))?"
)
_VALUE = lazy_pattern(
    r"\\+\"([^\"\\]*+)|\\+'([^'\\]*+)"  # in JSON within JSON
    r"|[bBuUrR]{0,2}(?:\"" + _SCHEME + r"((?:[^\"\\]|\\.)*+)|'" + _SCHEME + r"((?:[^'\\]|\\.)*+))"
    rf"|{_SCHEME}((?:[^\s\"'<>,;&)\]}}\\]"
    # Punctuation is part of it, unless it ends something.
    rf"|[,;)\]}}](?![\s\"',;&)\]}}]|\Z|[{_LETTER}.]{{1,64}}[\"']?[ ]?[=:]))++)",
    re.DOTALL,
)
_LINE = lazy_pattern(_SCHEME + r"((?:[^\r\n\"'\\]|(?<==)\"[^\"\r\n\\]*+\")++)")
_LINE_NAMES = ("cookie", "authorization")
# Said in the place of a value: that there is none, or what it is like.
_NO_VALUE = """
    none null nil true false undefined empty unset missing required unknown ok valid invalid
    expired failed revoked
"""
_NOTHING = frozenset(_NO_VALUE.split())
_NO_TEXT = lazy_pattern(r"([^\w\s])\1*+|[^\w\s]{2,3}")
_BRACKET = lazy_pattern(r"[\[\](){}]")
_CLOSES = {"[": "]", "{": "}", "(": ")"}

# RFC 3986, section 3.2.1. Passwords that should have been escaped but were not may hold all but
# blanks and quotes; digits behind the colon are a port if nothing but a path can follow.
_URL = lazy_pattern(
    r"(?<![A-Za-z0-9+.\-])([A-Za-z][A-Za-z0-9+.\-]{0,30}+)://"
    r"([^\s/?#@:\"'<>\[\]]{0,256}+)"
    r"(?::(?![0-9]{1,5}(?:[/?#\s]|\Z))((?:[^\s\"'<>:]|:(?!//)){0,4096}?))?"
    r"@(?![^\s/?#@,\"'<>]{0,256}@)"
)
_LONE_TOKEN = 20
_MARKED = (("%3", _ENCODED), ("</", _ELEMENT))

_BEARER = lazy_pattern(
    r"(?ai)(?<![A-Za-z0-9_])bearer[ \t]{1,8}+"
    r"(?!(?:token|tokens|auth|authentication|authorization|scheme|error|realm|instruments?)\b)"
    r"((?=[A-Za-z]{0,64}[0-9._~+/=-]|[A-Za-z]{6})[A-Za-z0-9._~+/-]{3,}+=*)"
)
_BASIC = lazy_pattern(r"(?ai)(?<![A-Za-z0-9_])basic[ \t]{1,8}+([A-Za-z0-9+/_-]{4,}+={0,2})")

SHORTEST = 13
"""No card and no key of a known shape is shorter."""

_SHAPES = (
    r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]++)+\.?",  # JWT: RFC 7519, RFC 7516
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])",  # AWS
    r"AIza[A-Za-z0-9_-]{30,}+",  # Google
    r"ya29\.[A-Za-z0-9_-]{16,}+",
    r"GOCSPX-[A-Za-z0-9_-]{16,}+",
    r"gh[pousr]_[A-Za-z0-9_]{16,}+",  # GitHub
    r"github_pat_[A-Za-z0-9_]{16,}+",
    r"gl(?:pa|pt|d|r|cb|soa|f|agen|im)t-[A-Za-z0-9_.-]{16,}+",  # GitLab
    r"xox[a-z]-[A-Za-z0-9-]{8,}+",  # Slack
    r"xapp-[0-9A-Za-z-]{10,}+",
    r"hooks\.slack\.com/[a-z]{1,16}/[A-Za-z0-9_/+-]{10,}+",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}+",  # Stripe
    r"whsec_[A-Za-z0-9+/]{16,}+=*",
    r"sk-(?:(?:ant|proj|svcacct|or|lf)-[A-Za-z0-9_-]{16,}+|[A-Za-z0-9]{32,}+)",  # OpenAI, ...
    r"npm_[A-Za-z0-9]{30,}+",
    r"pypi-[A-Za-z0-9_-]{50,}+",
    r"hf_[A-Za-z0-9]{30,}+",  # Hugging Face
    r"do[op]_v1_[a-f0-9]{40,}+",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32,}+",  # Shopify
    r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+",  # SendGrid
    r"hv[sbr]\.[A-Za-z0-9_-]{20,}+",  # Vault
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}+",  # Telegram
    r"AGE-SECRET-KEY-1[A-Z0-9]{40,}+",
    # RFC 7468; to its end, or to the text's: a key cut short is a key.
    r"-----BEGIN[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----(?:[^-]++|-(?!----END))*+",
)

NEEDLES = {
    "": ("eyJ", "AKIA", "ASIA", "ABIA", "ACCA", "AIza"),
    "_": (
        "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "_pat_", "_live_", "_test_", "whsec_", "npm_",
        "hf_", "_v1_", "shpat_", "shpca_", "shppa_", "shpss_",
    ),
    "-": ("t-", "xox", "xapp-", "sk-", "pypi-", "GOCSPX-", "AGE-SECRET-", "-----BEGIN"),
    ".": ("ya29.", "SG.", "hvs.", "hvb.", "hvr.", "slack.com/"),
    ":": (":AA",),
}  # fmt: skip
"""What keys of known shapes have in them, by a character that must be there, too."""


_SHAPE = lazy_pattern("(?<![A-Za-z0-9])(?:" + "|".join(_SHAPES) + ")")
_EMAIL = lazy_pattern(r"(?<![\w.+-])[\w.+-]++@(?=[\w-]{1,63}\.)[\w-]++(?:\.[\w-]++)+")

# A group's first four digits say whose card it is (ISO/IEC 7812); groups of any length follow. What
# comes before is looked at after the first digit: most positions are passed over faster so.
_CARD = lazy_pattern(
    r"[2-68](?<![0-9][0-9])(?<![0-9]\.[0-9])(?=([0-9]{3}(?:[ -]?[0-9]){9,15})(?![0-9]))"
)
# UUIDs and digests: of these, one in ten thousand has a card's number in it by chance.
_ID = lazy_pattern(
    r"(?i)(?<![0-9A-Z])(?:[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}"
    r"|(?:[0-9A-F]{8}){3,5}|[0-9A-F]{64})(?![0-9A-Z])"
)
_CARD_END = lazy_pattern(r"[ -]?[0-9]+\Z")
_ISSUER = lazy_pattern(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|352[89]|35[3-8][0-9]|220[0-4])[0-9]{12,15}"
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{9,15}"  # Maestro
)
_BLANKS = str.maketrans("", "", " -")
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


class Finder:
    """Finds where the secrets of a text are: spans in order, apart from each other.

    A pattern of the user's own with a group `secret` means that part of what it matches.
    """

    def __init__(
        self,
        names: Names,
        *,
        cards: bool,
        emails: bool,
        patterns: Iterable[re.Pattern[str]] = (),
    ) -> None:
        self._names = names
        self._cards = cards
        self._emails = emails
        self._patterns = [(p, "secret" if "secret" in p.groupindex else 0) for p in patterns]

    def __call__(self, text: str) -> list[Span]:
        """Return the spans; cheap where there is nothing, since most texts have nothing."""
        found: list[Span] = []
        if "=" in text or ":" in text:
            found += _pairs(text, self._names, _PAIR)
            if "@" in text and "://" in text:
                found += _urls(text)
        if "--" in text:
            found += _pairs(text, self._names, _OPTION)
        for mark, pattern in _MARKED:
            if mark in text:
                found += _named(text, self._names, pattern)
        if " " in text or "\t" in text:
            found += _schemes(text)
        if len(text) >= SHORTEST:
            found += _keys(text)
            if self._cards:
                found += find_cards(text)
        if self._emails and "@" in text:
            found += [match.span() for match in _EMAIL.finditer(text)]
        for pattern, group in self._patterns:
            found += [match.span(group) for match in pattern.finditer(text)]
        return _merged(found) if found else found


def _pairs(text: str, names: Names, pattern: re.Pattern[str]) -> Iterator[Span]:
    """Yield the values of names that are secret; what is inside of one is not looked at."""
    past = 0
    for match in pattern.finditer(text):
        name, start = match[1], match.end()
        if start < past or start == len(text) or not names(name):
            continue
        if text[start] in _CLOSES:
            span = start, _end_of_bracket(text, start)
        else:
            to_the_end = ":" in match[0] and name.lower().endswith(_LINE_NAMES)
            value = (
                to_the_end and text[start] not in "\"'\\" and _LINE.match(text, start)
            ) or _VALUE.match(text, start)
            if not value or value.lastindex is None:
                continue
            span = value.span(value.lastindex)
        past = span[1]
        if span[1] - span[0] < 10 and text[slice(*span)].lower() in _NOTHING:
            continue
        if _NO_TEXT.fullmatch(text, *span):  # `token = ?`, `unexpected token: '}'`, `********`
            continue
        yield span


def _named(text: str, names: Names, pattern: re.Pattern[str]) -> Iterator[Span]:
    """Yield what is in the second group, if the name in the first one is a secret's."""
    for match in pattern.finditer(text):
        if names(match[1]) and match[2].strip() and match[2].lower() not in _NOTHING:
            yield match.span(2)


def _end_of_bracket(text: str, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(text, start):
        depth += 1 if match[0] in _CLOSES else -1
        if not depth:
            return match.end()
    return len(text)


def _urls(text: str) -> Iterator[Span]:
    """Yield passwords in URLs, and user names that are tokens.

    A user name is one if there is no password with it (in HTTP), or if it is long.
    """
    for match in _URL.finditer(text):
        user, password = match[2], match[3]
        if password:
            yield match.span(3)
        alone = not password or password == "x-oauth-basic"
        if user and ((alone and _is_http(match[1])) or len(user) >= _LONE_TOKEN):
            yield match.span(2)


def _schemes(text: str) -> list[Span]:
    """Return what stands behind `Bearer` and `Basic`, without a header's name before it."""
    found: list[Span] = []
    lower = text.lower()
    if "bearer" in lower:
        found += [match.span(1) for match in _BEARER.finditer(text)]
    if "basic" in lower:
        found += [match.span(1) for match in _BASIC.finditer(text) if _is_basic(match[1])]
    return found


def _keys(text: str) -> list[Span]:
    for mark, needles in NEEDLES.items():
        if mark in text and any([needle in text for needle in needles]):
            return [match.span() for match in _SHAPE.finditer(text)]
    return []


def _is_http(scheme: str) -> bool:
    return scheme.lower() in ("http", "https", "ws", "wss", "git+https")


def _is_basic(text: str) -> bool:
    """Whether this is a user and a password in Base64 (RFC 7617), not a word."""
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b":" in b64decode(digits + "=" * (-len(digits) % 4))
    except (binascii.Error, ValueError):
        return False


def find_cards(text: str) -> list[Span]:
    """Return where there are card numbers: digits in groups, a known issuer, a right check digit
    (ISO/IEC 7812-1, annex B)."""
    found: list[Span] = []
    for match in _CARD.finditer(text):
        candidate = match[0] + match[1]
        while len(candidate) >= SHORTEST:  # the last groups may not belong to it
            digits = candidate.translate(_BLANKS)
            if _ISSUER.fullmatch(digits) and _checks(digits):
                found.append((match.start(), match.start() + len(candidate)))
                break
            candidate = _CARD_END.sub("", candidate)
    if not found:
        return found
    ids = [match.span() for match in _ID.finditer(text)]
    return [(s, e) for s, e in found if not any([first <= s and e <= last for first, last in ids])]


def _checks(digits: str) -> bool:
    # The characters' codes instead of the digits: what they are too large by is taken off again.
    code = digits.encode()
    return (sum(code[-1::-2] + code[-2::-2].translate(_DOUBLED)) - ord("0") * len(code)) % 10 == 0


def _merged(spans: list[Span]) -> list[Span]:
    spans.sort()
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = merged[-1][0], end
        elif end > start:
            merged.append((start, end))
    return merged
