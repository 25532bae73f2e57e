"""Labels in a row: one JSON object, empty where there are none."""

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from lading.content.store import NO_LABELS, Labels

EXPIRE = "containerd.io/gc.expire"
_quoted = json.encoder.encode_basestring_ascii
_decoded = json.JSONDecoder().raw_decode  # `loads` looks for blanks around it, for as long again
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def without_empty(labels: Mapping[str, str]) -> Labels:
    """The labels that have a value; one without is none."""
    return MappingProxyType({key: value for key, value in labels.items() if value})


def to_row(labels: Mapping[str, str]) -> str:
    """Write labels; one without a value is none."""
    # As `dumps` would with its keys sorted, which makes an encoder each time to do it.
    kept = [f"{_quoted(key)}: {_quoted(labels[key])}" for key in sorted(labels) if labels[key]]
    return f"{{{', '.join(kept)}}}" if kept else ""


def from_row(text: str) -> Labels:
    """Read labels."""
    return MappingProxyType(_decoded(text)[0]) if text else NO_LABELS


def changed(old: str, labels: Mapping[str, str], *, replace: bool) -> str:
    """Set labels in a row's; an empty value deletes its key, `replace` all that are not named."""
    return to_row(labels if replace else {**from_row(old), **labels})


def expiry_of(labels: Mapping[str, str]) -> int | None:
    """When the label says that a thing ends; None for never, and for what is no moment."""
    try:
        moment = datetime.fromisoformat(labels.get(EXPIRE, ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
