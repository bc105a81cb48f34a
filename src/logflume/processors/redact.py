"""A stand-in until the redaction is merged."""

from ..record import Record


class Redact:
    fail_closed = True
    inline = True

    def passes(self, records: object) -> bool:
        return True

    def __call__(self, record: Record) -> Record:
        return record
