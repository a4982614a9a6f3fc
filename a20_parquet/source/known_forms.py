"""Forms of records that were learnt, to find that of the next one by a few comparisons."""

from collections.abc import Sequence

from a20_parquet.source.record_form import RecordForm, learn_form
from a20_parquet.source.records import Buffer
from a20_parquet.table.schema import Feature

_MOST_FORMS_A_LENGTH = 64
_MOST_LENGTHS = 4096


class KnownForms:
    """Forms by the length of their records; any number of threads may use one object."""

    def __init__(self, wanted: Sequence[Feature]) -> None:
        """Begin without any.

        Args:
            wanted: further features that are decoded.
        """
        self._wanted = tuple(wanted)
        # Tuples are replaced, never changed: threads may look at them meanwhile.
        self._forms: dict[int, tuple[RecordForm, ...]] = {}

    def find(self, payload: Buffer) -> RecordForm | None:
        """Return the form of a record; None if the record is not wholly understood."""
        known = self._forms.get(len(payload), ())
        for form in known:
            for first, stop, content in form.fixed:
                if payload[first:stop] != content:
                    break
            else:
                return form
        return self._learn(bytes(payload), known)

    def _learn(self, payload: bytes, known: tuple[RecordForm, ...]) -> RecordForm | None:
        form = learn_form(payload, self._wanted)
        if form is not None and len(known) < _MOST_FORMS_A_LENGTH:
            if len(self._forms) >= _MOST_LENGTHS:
                self._forms.clear()
            self._forms[len(payload)] = (*known, form)
        return form
