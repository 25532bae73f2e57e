"""Mutations of importing, exporting and image layouts."""

from tests.mutations.mutation import Mutation

ROOM = "src/lading/oci/archives"
TAR = f"{ROOM}/tar.py"
STAGING = f"{ROOM}/staging.py"
CONTENTS = f"{ROOM}/contents.py"
HOSTILE = ("tests/archives/test_hostile.py",)
IMPORTING = ("tests/archives/test_importing.py",)
EXPORTING = ("tests/archives/test_exporting.py",)
DOCKER = ("tests/archives/test_docker.py",)
LAYOUT = ("tests/archives/test_layout.py",)

READING = (
    Mutation(
        "an archive may have a name twice",
        TAR,
        'if entry.kind != "folder" and entry.name in seen:',
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "a header's sum is not looked at",
        TAR,
        "if stated != sum(block[:148]) + 8 * 32 + sum(block[156:]):",
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "a link may have bytes in it", TAR, 'if size and kind != "file":', "if False:", HOSTILE
    ),
    Mutation(
        "an extended header may be of any size",
        TAR,
        "if size > PAX_LIMIT:",
        "if size > 1 << 40:",
        HOSTILE,
    ),
    Mutation(
        "of two names for an entry the last one counts",
        TAR,
        "if found.keys() & extended.keys():",
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "a link in a folder may lead out of it",
        CONTENTS,
        "if not Path(path).is_relative_to(self._folder):",
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "any number of documents are in memory",
        CONTENTS,
        " and size + entry.size <= DOCUMENTS_LIMIT",
        "",
        HOSTILE,
    ),
    Mutation(
        "a document may be of another size than its manifest says",
        f"{ROOM}/archive.py",
        "if len(data) != blob.size:",
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "a layer of docker's may be of another digest than its config says",
        f"{ROOM}/docker.py",
        "if digest not in {None, diff_id}:",
        "if False:",
        DOCKER,
    ),
    Mutation(
        "a blob becomes visible before another is compared with its digest",
        STAGING,
        "if actual.algorithm == expected.algorithm and actual != expected:",
        "if False:",
        HOSTILE,
    ),
    Mutation(
        "a bad archive leaves its ingests",
        STAGING,
        "if staged.is_one_off or (is_bad and staged.began_at == 0):",
        "if staged.is_one_off:",
        HOSTILE,
    ),
    Mutation(
        "what an earlier attempt has brought is believed of a stream",
        STAGING,
        "if hash_.hexdigest() != held.hex:",
        "if False:",
        IMPORTING,
    ),
    Mutation(
        "an ingest stays whose blob is there",
        STAGING,
        "                self._sweep(ref)\n",
        "",
        IMPORTING,
    ),
    Mutation(
        "the lease of an import never ends by itself",
        f"{ROOM}/importing.py",
        "with into.lease() as lease:",
        "with into.lease(expires_in=None) as lease:",
        IMPORTING,
    ),
    Mutation(
        "what a manifest points to is not labelled",
        f"{ROOM}/importing.py",
        "labels = gc_labels(node.manifest) if isinstance(store, Scope) else None",
        "labels = None",
        IMPORTING,
    ),
)
WRITING = (
    Mutation(
        "a blob is exported as it is",
        f"{ROOM}/verified_copy.py",
        "if hash_.hexdigest() != digest.hex:",
        "if False:",
        EXPORTING,
    ),
    Mutation(
        "an archive depends on the order of its targets",
        f"{ROOM}/exporting.py",
        "found[key] for key in sorted(found)",
        "found[key] for key in found",
        EXPORTING,
    ),
    Mutation(
        "an archive ends within a record",
        f"{ROOM}/writer.py",
        "put(END + bytes(-(size + len(END)) % RECORD_SIZE))",
        "put(END)",
        EXPORTING,
    ),
    Mutation(
        "an index is replaced that is not the one that was read",
        f"{ROOM}/new_file.py",
        "if not is_unchanged():",
        "if False:",
        LAYOUT,
    ),
    Mutation(
        "whoever is about to replace an index is taken for dead",
        f"{ROOM}/layout.py",
        "if time.time() - claim.stat().st_mtime > FORGOTTEN_S:",
        "if True:",
        LAYOUT,
    ),
    Mutation(
        "a blob of a layout is right because it is there",
        f"{ROOM}/layout.py",
        "if self._is_right(path, blob, copier):",
        "if path.exists():",
        LAYOUT,
    ),
    Mutation(
        "a link in a layout is written through",
        f"{ROOM}/new_file.py",
        "    follows_links: bool = False,",
        "    follows_links: bool = True,",
        LAYOUT,
    ),
)
