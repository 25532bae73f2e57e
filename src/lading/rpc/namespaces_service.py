"""containerd.services.namespaces.v1.Namespaces over a catalog.

A listener that is pinned to a namespace knows no other one.
"""

import threading
from collections.abc import Iterator, Mapping

from google.protobuf.empty_pb2 import Empty

from lading.content.catalog import NamespaceRecord
from lading.errors import AlreadyExists, InvalidArgument, PermissionDenied
from lading.rpc.content_service import labels_to_set
from lading.rpc.methods import Call, Method, unary
from lading.rpc.protos import namespaces_pb2 as messages

_OURS = "lading/"
"""How labels begin that say something to us; a client that replaces all does not know of them."""

# A catalog makes a namespace by labelling it, and does not say whether it was there. So a process
# makes one after another; where two serve one database, both may hear that theirs is new.
_MAKING = threading.Lock()


class NamespacesService:
    """The namespaces service."""

    name = "containerd.services.namespaces.v1.Namespaces"

    def methods(self) -> Mapping[str, Method]:
        """The five calls."""
        return {
            "Get": unary(messages.GetNamespaceRequest, _get),
            "List": unary(messages.ListNamespacesRequest, _list),
            "Create": unary(messages.CreateNamespaceRequest, _create, changes=True),
            "Update": unary(messages.UpdateNamespaceRequest, _update, changes=True),
            "Delete": unary(messages.DeleteNamespaceRequest, _delete, changes=True),
        }


def _get(call: Call, request: messages.GetNamespaceRequest) -> messages.GetNamespaceResponse:
    """Describe a namespace. One that is not there yet has no labels, as in containerd.

    Go clients ask for the labels of their namespace before they do anything in it, and give up
    where they hear that there is none.
    """
    found = _found(call, request.name)
    message = _message(found) if found else messages.Namespace(name=request.name)
    return messages.GetNamespaceResponse(namespace=message)


def _create(
    call: Call, request: messages.CreateNamespaceRequest
) -> messages.CreateNamespaceResponse:
    name = _named(call, request.namespace.name)
    with _MAKING:
        if _found(call, name) is not None:
            raise AlreadyExists(f"namespace {name!r}")
        made = call.catalog.label_namespace(name, dict(request.namespace.labels))
    return messages.CreateNamespaceResponse(namespace=_message(made))


def _list(call: Call, request: messages.ListNamespacesRequest) -> messages.ListNamespacesResponse:
    return messages.ListNamespacesResponse(namespaces=map(_message, _seen(call)))


def _update(
    call: Call, request: messages.UpdateNamespaceRequest
) -> messages.UpdateNamespaceResponse:
    name = _named(call, request.namespace.name)
    labels, replaces = labels_to_set(request.update_mask, request.namespace.labels)
    if replaces:
        found = _found(call, name)
        kept = found.labels if found else {}
        labels = {key: kept[key] for key in kept if key.startswith(_OURS)} | labels
    changed = call.catalog.label_namespace(name, labels, replace=replaces)
    return messages.UpdateNamespaceResponse(namespace=_message(changed))


def _delete(call: Call, request: messages.DeleteNamespaceRequest) -> Empty:
    call.catalog.delete_namespace(_named(call, request.name))
    return Empty()


def _named(call: Call, name: str) -> str:
    """The name of a namespace that the caller may change."""
    if not name:
        raise InvalidArgument("a namespace needs a name")
    if call.pinned not in {None, name}:
        raise PermissionDenied(
            f"namespace {name!r}", f"this listener is pinned to the namespace {call.pinned!r}"
        )
    call.facts["name"] = name
    return name


def _seen(call: Call) -> Iterator[NamespaceRecord]:
    for record in call.catalog.namespaces():
        if call.pinned in {None, record.name}:
            yield record


def _found(call: Call, name: str) -> NamespaceRecord | None:
    return next((record for record in _seen(call) if record.name == name), None)


def _message(record: NamespaceRecord) -> messages.Namespace:
    return messages.Namespace(name=record.name, labels=record.labels)
