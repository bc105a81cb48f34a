"""Secrets do not come out: by name, by shape, and wherever a record keeps what it was given."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

import pytest

from logflume import Pipeline, Record, get_logger
from logflume.errors import ConfigurationError
from logflume.exception import ExceptionInfo, Frame, take_exception
from logflume.processors import Redact
from logflume.secrets import SECRET_NAMES, SECRET_WHOLE, STEMS, Finder, Names
from tests.intake import captured, record_of

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nAbc==\n"

SECRET = """
    password Password PASSWORD dbPassword user_passwd pwd passphrase token accessToken access-token
    refresh_token csrfToken client_secret clientSecret secret secrets authorization
    Proxy-Authorization cookie cookies Set-Cookie api_key apikey apiKey API-KEY APIKey X-Api-Key
    x.api.key access_key accessKeySecret private_key privateKey credential credentials session_id
    sessionId PHPSESSID JSESSIONID sid auth pass password2 password_hash jwt user_jwt otp_code cvv
    aws_secret_access_key AccountKey
    PGPASSWORD dbpassword dbpwd accesstoken clientsecret XAPIKEY stripesecretkey accesstoken_2
""".split()  # noqa: SIM905 - a table
HARMLESS = """
    tokenizer token_count tokens max_tokens token_type tokenExpiresAt secretary secretName
    passwordless password_length passwordFile compass bypass passed pass_rate author
    authorized auth_method monkey key keyboard keys session cookie_domain cookiecutter user n
    pinned side otpimize credit accessed api private accesstoken_count OLDPWD password_stdin
""".split()  # noqa: SIM905 - a table


class Login(NamedTuple):
    name: str
    password: str


def redacted(text: str, **options: Any) -> str:
    """Redact one text, as the value of a field that says nothing."""
    value: str = Redact(**options)(record_of("m", v=text)).fields["v"]
    return value


@pytest.mark.parametrize("name", SECRET)
def test_the_value_of_a_secret_s_name_is_replaced(name: str) -> None:
    """In any spelling, as whole words."""
    assert Redact()(record_of("m", **{name: "hunter2"})).fields == {name: "[redacted]"}


def test_the_items_of_a_named_tuple_have_names() -> None:
    """What a call is given as one is taken with them, so a secret in it is known."""
    record = record_of("m", user=Login("ann", "hunter2"))
    assert Redact()(record).fields == {"user": {"name": "ann", "password": "[redacted]"}}


@pytest.mark.parametrize("name", HARMLESS)
def test_names_that_only_look_so_are_left_alone(name: str) -> None:
    """Parts of words, and names that tell something about a secret."""
    record = record_of("m", **{name: "hunter2"})
    assert Redact()(record) is record


def test_every_secret_name_has_a_stem() -> None:
    """The glance looks for the stems only."""
    assert [n for n in SECRET_NAMES | SECRET_WHOLE if not any(s in n for s in STEMS)] == []


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_what_cannot_be_a_secret_stays(value: Any) -> None:
    """Whether there is a password is no secret."""
    record = record_of("m", password=value)
    assert Redact()(record) is record


def test_a_secret_s_value_is_replaced_whole() -> None:
    """Whatever its type."""
    record = record_of("m", token=1234, cookies={"a": "b"}, secrets=["x"], pwd=b"y")
    assert set(Redact()(record).fields.values()) == {"[redacted]"}


def test_secrets_are_found_at_any_depth() -> None:
    """In mappings, lists and tuples, and in pairs as headers are given in."""
    headers = [(b"cookie", b"abc"), ("X-Api-Key", "abc"), ("Host", "abc")]
    record = record_of(
        "m", a={"b": [{"password": "x", "n": 1}, ("ok", "Bearer abc12345")]}, h=headers
    )
    fields = Redact()(record).fields
    assert fields["a"] == {"b": [{"password": "[redacted]", "n": 1}, ("ok", "Bearer [redacted]")]}
    assert fields["h"] == [(b"cookie", "[redacted]"), ("X-Api-Key", "[redacted]"), ("Host", "abc")]
    assert record.fields["a"]["b"][0]["password"] == "x", "the record that came is as it was"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://app:hunter2@db:5432/shop", "postgres://app:[redacted]@db:5432/shop"),
        ("redis://:hunter2@cache", "redis://:[redacted]@cache"),
        ("amqp://u:p/a#s?s@w@host/x", "amqp://u:[redacted]@host/x"),
        ("clone https://abc123@github.com/x.git", "clone https://[redacted]@github.com/x.git"),
        ("GET /x?a=1&token=abc&api_key=d#f", "GET /x?a=1&token=[redacted]&api_key=[redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("authorization=Basic YTpi user=x", "authorization=Basic [redacted] user=x"),
        ('Authorization: Digest username="x", nc="y"', "Authorization: Digest [redacted]"),
        ("sent BEARER abc12345", "sent BEARER [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("Cookie: a=b; c=d\r\nHost: x", "Cookie: [redacted]\r\nHost: x"),
        ('{"password": "hun\\"ter2", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ('{\\"password\\": \\"x\\", \\"n\\": 1}', '{\\"password\\": \\"[redacted]\\", \\"n\\": 1}'),
        ("{'api_key': 'a b', 'n': 1}", "{'api_key': '[redacted]', 'n': 1}"),
        ('{"credentials": {"a": {"b": 1}}, "n": 1}', '{"credentials": [redacted], "n": 1}'),
        ("password=ab,cd;ef) user=x", "password=[redacted]) user=x"),
        ("User(password=abc, age=3)", "User(password=[redacted], age=3)"),
        ("api key: abc", "api key: [redacted]"),
        ("mysql --password hunter2 -u x", "mysql --password [redacted] -u x"),
        (f"got {JWT}!", "got [redacted]!"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("ghp_" + "a1" * 18, "[redacted]"),
        ("xoxb-123456789012-abcdef", "[redacted]"),
        ("sk_live_" + "a1" * 12, "[redacted]"),
        (f"key:\n{PEM}", "key:\n[redacted]"),
        (f"{PEM}-----END RSA PRIVATE KEY-----.", "[redacted]-----END RSA PRIVATE KEY-----."),
        ("4111 1111 1111 1111", "[redacted]"),
        ("order 12 4111-1111-1111-1111 123", "order 12 [redacted] 123"),
        ("378282246310005", "[redacted]"),
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_shape(text: str, left: str) -> None:
    """What is around them stays; doing it again changes nothing."""
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@github.com/x", "http://host:8080/a@b", "https://example.com/?page=3",
        "password: None", "password=", "basic authentication", "bearer authentication failed",
        "bearer of bad news", "12:30:00", "token_count=3", "a=b", "std::token::x",
        "4111111111111112", "0.4111111111111111", "1764000000000000000",
        "3fa0cd44-a98f-4312-9fd5-c7e1ab0f6612",
        "the password is wrong", "-----BEGIN CERTIFICATE-----", "me@example.org", "[redacted]",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    """Prose about secrets, URLs without credentials, other numbers."""
    record = record_of("m", v=text)
    assert Redact()(record) is record


def test_cards_are_found_in_numbers_and_bytes() -> None:
    """A number that is a card's is one, whatever its type."""
    record = record_of("m", a=4111111111111111, b=b"4111111111111111", c=4111111111111112)
    assert Redact()(record).fields == {"a": "[redacted]", "b": b"[redacted]", "c": 4111111111111112}
    assert Redact(cards=False)(record) is record


def test_keys_that_hold_secrets_are_redacted() -> None:
    """No item is lost where two keys become equal."""
    record = record_of("m", v={"4111111111111111": 1, "378282246310005": 2, "db://u:abc@h": 3})
    fields = Redact()(record).fields["v"]
    assert fields == {"[redacted]": 1, "[redacted]_": 2, "db://u:[redacted]@h": 3}


def test_the_message_shows_what_the_fields_show() -> None:
    """A template filled with a redacted field; it stays a template."""
    record = Redact()(record_of("{user} logged in with {password}", user="ann", password="hunter2"))
    assert record.message == "ann logged in with [redacted]"
    assert record.template == "{user} logged in with {password}"


def test_what_the_template_makes_a_secret_is_redacted_in_the_fields_too() -> None:
    """A value behind a secret's name in the text is one, under whatever name it was given."""
    record = Redact()(record_of("login {user}, password={p}", user="ann", p="hunter2"))
    assert record.message == "login ann, password=[redacted]"
    assert record.fields == {"user": "ann", "p": "[redacted]"}
    assert record.template == "login {user}, password={p}"


def test_secrets_in_a_message_that_was_put_together_are_redacted() -> None:
    """An f-string, whose template is its text."""
    record = Redact()(record_of("login password=hunter2", user="ann"))
    assert record.message == record.template == "login password=[redacted]"


def test_positional_arguments_are_redacted() -> None:
    """In the message, and in the record."""
    record = Redact()(record_of("password=%s for %s", "hunter2", "ann"))
    assert (record.message, record.args) == ("password=[redacted] for ann", ())
    record = Redact()(record_of("got %s", {"token": "hunter2"}))
    assert record.message == "got {'token': '[redacted]'}"
    record = Redact()(record_of("{} and token={t}", 1, t="hunter2"))
    assert (record.message, record.fields) == ("1 and token=[redacted]", {"t": "[redacted]"})


def test_bound_and_context_fields_are_redacted() -> None:
    """Also when many records share them."""
    with captured() as taken:
        log = get_logger("x", token="hunter2")
        for n in range(3):
            log.info("m {n}", n=n)
    redact = Redact()
    assert not redact.passes(taken.records)
    records = [redact(record) for record in taken.records]
    assert [record.fields for record in records] == [
        {"token": "[redacted]", "n": n} for n in range(3)
    ]
    assert records[0].bound is records[2].bound


def test_exceptions_are_redacted() -> None:
    """Messages, notes, causes, members of groups, and lines of source."""
    inner = ValueError("password=hunter2")
    inner.add_note("Bearer hunter2hunter2")
    group = ExceptionGroup("several", [KeyError("token: hunter2")])
    group.__cause__ = inner
    info = take_exception(group)
    assert info is not None
    info.frames = [Frame("f.py", 1, "f", "connect('db://u:hunter2@h')"), Frame("f.py", 2, "g")]
    record = record_of("failed").replace(exception=info)
    shown = Redact()(record).to_dict()["exception"]
    assert "hunter2" not in repr(shown)
    assert shown["frames"][0]["source"] == "connect('db://u:[redacted]@h')"
    assert "hunter2" in repr(info), "the exception that came is as it was"
    clean = record_of("m").replace(exception=ExceptionInfo("E", "said"))
    assert Redact()(clean) is clean


def test_a_given_message_stays_given() -> None:
    """Another processor's message is redacted, not made anew."""
    record = record_of("{user}", user="ann", token="x").replace(message="given token=abc")
    assert Redact()(record).message == "given token=[redacted]"
    record = record_of("{user}", user="ann", token="x").replace(message="given")
    assert Redact()(record).message == "given"


def test_a_message_rendered_before_is_made_anew() -> None:
    """It was made of what is redacted since."""
    record = record_of("with {password}", password="hunter2")
    assert record.message == "with hunter2"
    assert Redact()(record).message == "with [redacted]"


def test_names_of_one_s_own() -> None:
    """As whole words, or with a `*` for anything."""
    record = record_of("m", customerIban="x", iban="x", ibanity="x", shop_key_id="x", v="iban=x")
    shown = Redact(names=["iban", "shop_*"])(record).fields
    assert [shown[name] for name in record.fields] == [
        "[redacted]", "[redacted]", "x", "[redacted]", "iban=[redacted]",
    ]  # fmt: skip


def test_names_to_keep() -> None:
    """They are no secrets, but what has the shape of one still is."""
    record = record_of("m", session_id="abc", csrf_token="abc", v="session_id=abc")
    redact = Redact(keep=["sessionId", "csrf*"])
    assert redact(record) is record
    assert redact(record_of("m", session_id=JWT)).fields == {"session_id": "[redacted]"}


def test_patterns_of_one_s_own() -> None:
    """The whole match, or what the group `secret` matched; in numbers, too."""
    redact = Redact(patterns=[r"cust-\d+", re.compile(r"pin (?P<secret>\d{4})"), "7{3}"])
    record = record_of("{a} {b}", a="cust-17 paid", b="pin 1234", c=777)
    assert not redact.passes([record])
    assert redact(record).fields == {
        "a": "[redacted] paid",
        "b": "pin [redacted]",
        "c": "[redacted]",
    }
    assert redact(record).message == "[redacted] paid pin [redacted]"
    assert redact.passes([record_of("ok")])


def test_e_mail_addresses_on_request() -> None:
    """They are no secrets unless said so."""
    assert redacted("mail from ann@example.org.", emails=True) == "mail from [redacted]."


def test_hashes_tell_equal_secrets_from_others() -> None:
    """With a key: whoever lacks it cannot try values."""
    redact = Redact(hash_key=b"k" * 16)
    first, second, other = (
        redact(record_of("m", token=value)).fields["token"] for value in ("a", "a", "b")
    )
    assert first == second != other
    assert re.fullmatch(r"\[redacted:[0-9a-f]{12}\]", first)
    assert Redact(hash_key=b"other")(record_of("m", token="a")).fields["token"] != first
    assert redact(record_of("m", v="token=a")).fields["v"] == f"token={first}"


@pytest.mark.parametrize(
    "settings",
    [
        {"names": ["--"]}, {"names": [1]}, {"names": 1}, {"keep": b"x"}, {"patterns": ["("]},
        {"patterns": ["x*"]}, {"patterns": [re.compile(b"x")]}, {"patterns": [None]},
        {"replacement": ""}, {"replacement": None}, {"replacement": "token=x"},
        {"replacement": "4111111111111111"}, {"hash_key": b""}, {"hash_key": "key"},
        {"hash_key": b"x" * 65}, {"cards": "false"}, {"emails": 1},
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        Redact(**settings)


def test_a_key_is_not_told() -> None:
    """Not even where it is refused."""
    with pytest.raises(ConfigurationError) as caught:
        Redact(hash_key="top-secret")  # type: ignore[arg-type]
    assert "top" not in str(caught.value)


def batch(count: int = 64, *, secret_at: int = -1, odd: bool = False) -> list[Record]:
    with captured() as taken:
        log = get_logger("x", shop="berlin")
        for n in range(count):
            if n == secret_at:
                log.info("User {user} did action {n}", user={"a": ["Bearer abc12345"]}, n=n)
            elif odd and not n % 10:
                log.opt(exception=ValueError("x")).info("failed")
            else:
                log.info("User {user} did action {n}", user="alice", n=n)
    return list(taken.records)


def test_a_batch_without_secrets_passes() -> None:
    """Also one with exceptions, arguments, ids, nested values and text."""
    assert Redact().passes(batch())
    assert Redact().passes(batch(odd=True))
    more = [
        record_of("%s: %d", "a", 1), record_of("{a}{b}", a=1, b=0.8444218515250481),
        record_of("m", id="3fa0cd44-a98f-4312-9fd5-c7e1ab0f6612", tags=["a", {"b": 1}], x=b"\xff"),
        record_of("GET {url}", url="https://example.com/?page=3"), record_of(f"text {1} of {{}}"),
    ]  # fmt: skip
    assert Redact().passes(more)


@pytest.mark.parametrize("at", [0, 31, 63])
def test_one_secret_stops_a_batch_and_is_the_only_one_redacted(at: int) -> None:
    """All others come out as the same objects."""
    records = batch(secret_at=at, odd=True)
    redact = Redact()
    assert not redact.passes(records)
    changed = [n for n, record in enumerate(records) if redact(record) is not record]
    assert changed == [at]
    assert not redact._done


@pytest.mark.parametrize(
    "unit",
    [
        "a", "a ", "4", "4 ", "4111 ", "://", "http://a:", "@", "a@", "a.", "token:{", 'token="',
        "token=", "token: ", "eyJ", "eyJ.", "-----BEGIN PRIVATE KEY-----", "-", "--a ", ",a", "\\",
        "bearer ", "basic aaaa ", "api ", "'\"", "=", "a=", "xox", "hooks.slack.com/a/", "{", "[",
    ],
)  # fmt: skip
def test_hostile_text_takes_no_longer_than_its_length(unit: str) -> None:
    """A million characters; anything worse would take days."""
    find = Finder(Names(), cards=True, emails=True)
    for start in ("", "token=", "http://a:"):
        text = start + unit * (1_000_000 // len(unit))
        begin = time.thread_time()
        find(text)
        assert time.thread_time() - begin < 20  # that is, it ends


async def test_nothing_reaches_a_callback_before_it_is_redacted() -> None:
    """In a pipeline, records of all kinds, one after the other."""
    log = get_logger("x")
    seen: list[dict[str, Any]] = []

    async with Pipeline(seen.append, processors=[Redact()]) as pipeline:
        await log.ainfo("user {user}", user="ann", password="hunter2")
        await log.ainfo("password=%s", "hunter2")
        await log.opt(lazy=True).ainfo("lazy {token}", token=lambda: "hunter2")
        await log.opt(exception=ValueError("token: hunter2")).aerror("failed")
        await pipeline.flush()
    assert len(seen) == 4
    assert "hunter2" not in repr(seen)


def test_a_name_beside_its_value_is_a_name() -> None:
    """As environments and forms are often written down."""
    given = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"key": "user", "value": "ann"}]
    fields = Redact()(record_of("m", env=given)).fields
    assert fields["env"] == [{"name": "DB_PASSWORD", "value": "[redacted]"}, given[1]]
    record = record_of("m", env=[given[1], {"name": "token", "value": None}])
    assert Redact()(record) is record


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["x", "--password", "hunter2", "y"], ["x", "--password", "[redacted]", "y"]),
        (("--api-key", "hunter2"), ("--api-key", "[redacted]")),
        (["--password=hunter2", "y"], ["--password=[redacted]", "y"]),
        (["--password", "--verbose"], ["--password", "--verbose"]),
        (["--password-stdin", "file"], ["--password-stdin", "file"]),
        (["--token: missing", "y"], ["--token: missing", "y"]),
    ],
)
def test_what_follows_an_option_of_a_command_is_its_value(given: Any, left: Any) -> None:
    """In lists, and in what shows one as text."""
    assert Redact()(record_of("m", argv=given)).fields["argv"] == left
    redact = Redact()
    assert "hunter2" not in redact(record_of(f"Command {given!r} failed")).message
    assert redact.passes([record_of(f"Command {given!r} failed")]) is ("hunter2" not in str(given))


@pytest.mark.parametrize(
    "text",
    [
        "token: expired",
        "auth: ok",
        "csrf: valid",
        "api key: missing",
        "Unexpected token: '}' at 5",
        "password: ********",
        "SELECT * FROM t WHERE token = ?",
    ],
)
def test_what_is_said_of_a_secret_stays(text: str) -> None:
    """That it is missing or wrong, or a mark in its place."""
    assert redacted(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "f85536c3-3828-4482-8886-52928de7a90f",
        "de7f5280133771792719bc3a3600342c",
        "at f31cd60bd2243923478357896ffc84c6b15ffbfb.",
    ],
)
def test_ids_are_no_cards(text: str) -> None:
    """Though the digits of some, by chance, are a card's number."""
    assert redacted(text) == text
    assert redacted(f"{text} 4111 1111 1111 1111").endswith(" [redacted]")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<a><password>hunter2</password></a>", "<a><password>[redacted]</password></a>"),
        ("<x:apiKey type='b'>hunter2</x:apiKey>", "<x:apiKey type='b'>[redacted]</x:apiKey>"),
        ("<password></password>", "<password></password>"),
        ("<tokens>5</tokens>", "<tokens>5</tokens>"),
        (
            "to=https%3A%2F%2Fh%2F%3Fa%3D1%26token%3Dhunter%252%26b%3D2",
            "to=https%3A%2F%2Fh%2F%3Fa%3D1%26token%3D[redacted]%26b%3D2",
        ),
        ("%3Fpage%3D3%26sort%3Dup", "%3Fpage%3D3%26sort%3Dup"),
    ],
)
def test_secrets_are_found_in_xml_and_in_urls_within_urls(text: str, left: str) -> None:
    """One by one, and by the batch."""
    assert redacted(text) == left
    assert Redact().passes([record_of("m", v=text)]) is (text == left)
    assert Redact().passes([record_of(text)]) is (text == left)
