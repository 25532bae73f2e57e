"""Every defect that is known has a test here that is named by it, or a place where it will."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DEFECTS = {*(f"s{number}" for number in range(1, 21)), *(f"h{number}" for number in range(1, 49))}

SERVICE, METADATA = "the service over gRPC", "the metadata: namespaces, leases, collection"
REGISTRIES, ARCHIVES = "registries", "archives"
LATER = {
    "s15": (SERVICE, "which error goes over the wire as what"),
    "s16": (SERVICE, "a stream that ends well ends without an error"),
    "h4": (REGISTRIES, "what a failed pull fetched is kept by its lease"),
    "h8": (METADATA, "a row without a blob heals when the bytes come again"),
    "h10": (SERVICE, "a commit message at offset 0 keeps the data"),
    "h17": (METADATA, "labels change in one step and go with their blob"),
    "h18": (METADATA, "no commit of a blob inside a transaction"),
    "h21": (METADATA, "who is told of a commit cannot fail it"),
    "h24": (METADATA, "no hashing inside a transaction"),
    "h26": (METADATA, "an aborted ingest is aborted below, too"),
    "h31": (SERVICE, "truncating through a remote writer is true at once"),
    "h34": (METADATA, "collecting stops nobody"),
    "h35": (METADATA, "which labels keep and expire content"),
    "h36": (METADATA, "a namespace that is in use is not deleted"),
    "h38": (SERVICE, "a remote write says what was stored before it failed"),
    "h41": (REGISTRIES, "a connection that is reset is taken up again"),
    "h42": (REGISTRIES, "a partial answer is compared with what was asked for"),
    "h43": (REGISTRIES, "chunks side by side are bounded, and each is tried again"),
    "h44": (REGISTRIES, "no range of an encoded body"),
    "h45": (REGISTRIES, "a server that ignores ranges is not asked again and again"),
    "h46": (REGISTRIES, "a server that says wait is waited for"),
    "h47": (REGISTRIES, "what was pushed is known by its repository, too"),
    "h48": (REGISTRIES, "what a failed fetch left is compared before it is used"),
}


def covered():
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield from re.findall(r"(?<=_)[sh]\d+(?=_)", node.name)


def test_every_known_defect_has_its_test_or_its_place():
    assert set(covered()) | set(LATER) == DEFECTS


def test_nothing_is_put_off_that_has_its_test():
    assert set(covered()) & set(LATER) == set()


def test_each_reason_names_what_must_come_first():
    assert {place for place, _ in LATER.values()} <= {SERVICE, METADATA, REGISTRIES, ARCHIVES}
