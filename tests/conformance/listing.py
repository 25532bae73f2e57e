"""What every store promises of its listings."""

import pytest

from lading.errors import InvalidFilter
from lading.model.digest import ALGORITHMS, Digest
from tests.conformance.samples import HELLO, begin, digests_in, put, refs_in

BAD_FILTERS = [
    "==",
    "digest==",
    "digest=x",
    "ref=x",
    "ref==a,",
    'ref=="a',
    "ref==a b",
    "labels.a-b==c",
    'ref~="["',
]


class ListingContract:
    def test_a_store_that_was_never_written_lists_nothing(self, store):
        assert list(store.blobs()) == []
        assert list(store.ingests()) == []

    def test_every_blob_is_listed_once_as_it_is_described(self, store, twin):
        added = [store.add(bytes([number])) for number in range(20)]
        added += [put(store, HELLO, algorithm) for algorithm in ALGORITHMS]
        for handle in (store, twin):
            assert sorted(handle.blobs()) == sorted(added)

    def test_every_ingest_is_listed_once_as_it_is_described(self, store, twin):
        refs = [f"layer/{number}" for number in range(10)]
        for ref in refs:
            begin(store, ref, ref.encode())
        for handle in (store, twin):
            assert sorted(handle.ingests()) == sorted(map(store.ingest, refs))

    def test_an_ingest_with_an_open_writer_is_listed_too(self, store, twin):
        with store.writer("w", total=100) as writer:
            writer.write(HELLO)
            for handle in (store, twin):
                [listed] = handle.ingests()
                assert (listed.ref, listed.offset, listed.total) == ("w", len(HELLO), 100)

    def test_blobs_can_be_deleted_while_they_are_listed(self, store):
        added = {store.add(bytes([number])).digest for number in range(8)}
        for blob in store.blobs():
            store.delete(blob.digest)
            added.remove(blob.digest)
        assert added == set()
        assert list(store.blobs()) == []

    def test_ingests_can_be_aborted_while_they_are_listed(self, store):
        for number in range(8):
            begin(store, f"w{number}", HELLO)
        for ingest in store.ingests():
            store.abort(ingest.ref)
        assert list(store.ingests()) == []

    def test_what_goes_during_a_listing_does_not_stop_it(self, store):
        blobs = [store.add(bytes([number])).digest for number in range(8)]
        for number in range(8):
            begin(store, f"w{number}", HELLO)
        listed, active = store.blobs(), store.ingests()
        next(listed)
        next(active)
        for digest in blobs[1:]:
            store.delete(digest)
        for number in range(1, 8):
            store.abort(f"w{number}")
        assert {blob.digest for blob in listed} <= set(blobs)
        assert {ingest.ref for ingest in active} <= {f"w{number}" for number in range(8)}
        assert digests_in(store) == blobs[:1]
        assert refs_in(store) == ["w0"]

    # Filters

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ([], "hello empty long"),
            ([""], "hello empty long"),
            (["digest"], "hello empty long"),
            (["digest=={hello}"], "hello"),
            (['digest=="{hello}"'], "hello"),
            (["digest!={hello}"], "empty long"),
            (["digest~=^sha512:"], "long"),
            (["digest~=/^sha256:/,digest!={hello}"], "empty"),
            (["digest=={hello}", "digest=={long}"], "hello long"),
            (["digest=={hello},digest=={long}"], ""),
            (["digest==sha256"], ""),
            (["labels.team"], ""),
            (["labels.team!=red"], "hello empty long"),
            (["labels.team==red", "digest=={empty}"], "empty"),
            (["nothing.like.this"], ""),
        ],
    )
    def test_a_listing_of_blobs_keeps_what_any_filter_accepts(self, store, filters, names):
        digests = {
            "hello": store.add(HELLO).digest,
            "empty": store.add(b"").digest,
            "long": put(store, HELLO, "sha512").digest,
        }
        listed = store.blobs(*(text.format_map(digests) for text in filters))
        assert {blob.digest for blob in listed} == {digests[name] for name in names.split()}

    @pytest.mark.parametrize(
        ("filters", "refs"),
        [
            ([], ["layer-1", "layer-2", "über/alles"]),
            (["ref"], ["layer-1", "layer-2", "über/alles"]),
            (["ref==layer-1"], ["layer-1"]),
            (["ref!=layer-1"], ["layer-2", "über/alles"]),
            (["ref~=^layer-"], ["layer-1", "layer-2"]),
            (["ref~=/^layer-/,ref!=layer-2"], ["layer-1"]),
            (["ref==layer-2", "ref~=alles"], ["layer-2", "über/alles"]),
            (['ref=="über/alles"'], ["über/alles"]),
            (["ref==layer"], []),
            (["nothing"], []),
        ],
    )
    def test_a_listing_of_ingests_keeps_what_any_filter_accepts(self, store, filters, refs):
        for ref in ("layer-1", "layer-2", "über/alles"):
            begin(store, ref, HELLO)
        assert sorted(ingest.ref for ingest in store.ingests(*filters)) == refs

    @pytest.mark.parametrize("bad", BAD_FILTERS)
    @pytest.mark.parametrize("listing", ["blobs", "ingests"])
    def test_a_bad_filter_is_refused_by_the_call_and_not_by_the_first_step(
        self, store, listing, bad
    ):
        with pytest.raises(InvalidFilter):
            getattr(store, listing)(bad)
        with pytest.raises(InvalidFilter):
            getattr(store, listing)("ref", "digest", bad)

    def test_a_filter_sees_blobs_and_not_ingests(self, store):
        begin(store, "w", HELLO)
        assert list(store.blobs(f"digest=={Digest.of(HELLO)}")) == []
