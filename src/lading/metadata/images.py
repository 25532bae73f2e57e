"""Images: names for blobs, and roots for the collector."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from lading.content.catalog import Image, Images
from lading.content.events import Events, ImageCreated, ImageDeleted, ImageUpdated
from lading.database.engine import Database
from lading.database.session import Row, Session
from lading.database.statements import Statement
from lading.errors import AlreadyExists, InvalidArgument, NotFound
from lading.metadata import labels as label_rows
from lading.metadata.names import check_labels, check_text
from lading.metadata.rows import NamespaceRows
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.model.filters import Path, parse

_GET = Statement(
    "SELECT name, target, created_ns, updated_ns, labels FROM images"
    " WHERE namespace = :namespace AND name = :name"
)
_GET_TO_CHANGE = Statement(_GET.sql, locking="UPDATE")
_LIST = Statement(
    "SELECT name, target, created_ns, updated_ns, labels FROM images"
    " WHERE namespace = :namespace ORDER BY name"
)
_ADD = Statement(
    "INSERT INTO images (namespace, name, target, target_digest, created_ns, updated_ns, labels)"
    " VALUES (:namespace, :name, :target, :digest, :now_ns, :now_ns, :labels)"
    " ON CONFLICT DO NOTHING"
)
_UPDATE = Statement(
    "UPDATE images"
    " SET target = :target, target_digest = :digest, updated_ns = :now_ns, labels = :labels"
    " WHERE namespace = :namespace AND name = :name"
)
_REMOVE = Statement("DELETE FROM images WHERE namespace = :namespace AND name = :name")
_RELEASE = Statement(
    "DELETE FROM resources WHERE namespace = :namespace AND kind = 'images' AND id = :name"
)


class NamespaceImages(Images):
    """The images of one namespace. Made by `Namespace.images`."""

    def __init__(
        self,
        database: Database,
        rows: NamespaceRows,
        clock: Callable[[], int],
        events: Events,
    ) -> None:
        self._database, self._rows, self._clock, self._events = database, rows, clock, events
        self._namespace = rows.namespace

    def get(self, name: str) -> Image:
        return _image(name, self._database.row(_GET, namespace=self._namespace, name=name))

    def list(self, *filters: str) -> Iterator[Image]:
        accepts = parse(*filters)
        rows = self._database.read(lambda session: session.rows(_LIST, namespace=self._namespace))
        images = (_image(row[0], row) for row in rows)
        return (image for image in images if accepts(partial(_field, image)))

    def create(
        self, name: str, target: Descriptor, *, labels: Mapping[str, str] | None = None
    ) -> Image:
        _check(name, labels or {})
        now_ns = self._clock()

        def add(session: Session) -> bool:
            self._rows.check_lease(session)
            self._rows.make(session, now_ns)
            self._rows.touch(session, target.digest, {})
            return bool(session.run(_ADD, **self._row(name, target, labels or {}, now_ns)))

        if not self._database.write(add):
            raise AlreadyExists(f"image {name!r}")
        self._events.emit(ImageCreated(self._namespace, now_ns, name))
        return Image(name, target, now_ns, now_ns, label_rows.without_empty(labels or {}))

    def update(
        self,
        name: str,
        *,
        target: Descriptor | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Sequence[str] = (),
    ) -> Image:
        _check(name, labels or {})
        now_ns = self._clock()

        def change(session: Session) -> Image:
            self._rows.check_lease(session)
            old = _image(name, session.row(_GET_TO_CHANGE, namespace=self._namespace, name=name))
            new = _changed(old, target, labels, fields)._replace(updated_ns=now_ns)
            session.run(_UPDATE, **self._row(name, new.target, new.labels, now_ns))
            self._rows.touch(session, new.target.digest, {})
            return new

        image = self._database.write(change)
        self._events.emit(ImageUpdated(self._namespace, now_ns, name))
        return image

    def delete(self, name: str) -> None:
        def remove(session: Session) -> bool:
            self._rows.check_lease(session)
            session.run(_RELEASE, namespace=self._namespace, name=name)
            return bool(session.run(_REMOVE, namespace=self._namespace, name=name))

        if not self._database.write(remove):
            raise NotFound(name, "image")
        self._events.emit(ImageDeleted(self._namespace, self._clock(), name))

    def _row(
        self, name: str, target: Descriptor, labels: Mapping[str, str], now_ns: int
    ) -> dict[str, Any]:
        document: dict[str, Any] = {
            "mediaType": target.media_type,
            "digest": target.digest,
            "size": target.size,
        }
        if target.annotations:
            document["annotations"] = dict(target.annotations)
        return {
            "namespace": self._namespace,
            "name": name,
            "target": json.dumps(document, sort_keys=True),
            "digest": target.digest,
            "labels": label_rows.to_row(labels),
            "now_ns": now_ns,
        }


def _check(name: str, labels: Mapping[str, str]) -> None:
    check_text(name, "an image's name")
    check_labels(labels)


def _image(name: str, row: Row | None) -> Image:
    if row is None:
        raise NotFound(name, "image")
    _, target, created_ns, updated_ns, labels = row
    document = json.loads(target)
    descriptor = Descriptor(
        document["mediaType"],
        Digest(document["digest"]),
        document["size"],
        MappingProxyType(document.get("annotations", {})),
    )
    return Image(name, descriptor, created_ns, updated_ns, label_rows.from_row(labels))


def _changed(
    old: Image,
    target: Descriptor | None,
    labels: Mapping[str, str] | None,
    fields: Sequence[str],
) -> Image:
    if not fields:
        kept = label_rows.without_empty(old.labels if labels is None else labels)
        return old._replace(target=target or old.target, labels=kept)
    given, new = labels or {}, old
    for field in fields:
        key = field.removeprefix("labels.")
        if field == "target" and target is not None:
            new = new._replace(target=target)
        elif field == "annotations" and target is not None:
            new = new._replace(target=new.target._replace(annotations=target.annotations))
        elif field == "labels":
            new = new._replace(labels=label_rows.without_empty(given))
        elif key != field:
            new = new._replace(
                labels=label_rows.without_empty({**new.labels, key: given.get(key, "")})
            )
        else:
            raise InvalidArgument(f"cannot update field {field!r} of an image")
    return new


def _field(image: Image, path: Path) -> str | None:
    match path[0]:
        case "name":
            return image.name
        case "target" if path[1:2] == ("digest",):
            return image.target.digest
        case "target" if path[1:2] == ("mediatype",):
            return image.target.media_type
        case "labels":
            return image.labels.get(".".join(path[1:]))
        case "annotations":
            return image.target.annotations.get(".".join(path[1:]))
    return None
