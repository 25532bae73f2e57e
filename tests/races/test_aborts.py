"""An abort and an opening, one of them in the middle of the other."""

import threading

import pytest

from lading.errors import Aborted
from lading.stores.local import locks
from lading.stores.local.disk import Disk
from lading.stores.local.paths import DATA
from lading.stores.local.store import LocalStore

LONGEST_SECONDS = 30


def begin(root):
    with LocalStore(root).writer("r") as writer:
        writer.write(b"bytes")


def test_an_opening_takes_no_bytes_from_the_abort_that_it_meets(tmp_path):
    begin(tmp_path / "root")
    renamed, opened = threading.Event(), threading.Event()
    answers = []

    class Opening(Disk):
        """Its opening has read the ingest when the abort renames its folder."""

        def sync_directory(self, path):
            if path.parent.name == "ingest" and not aborting.ident:
                aborting.start()
                assert renamed.wait(LONGEST_SECONDS)
            super().sync_directory(path)

    class Aborting(Disk):
        """Its abort has renamed the folder, and empties it when the ref is open again."""

        def rename(self, source, target, *, folder=None):
            super().rename(source, target, folder=folder)
            renamed.set()
            assert opened.wait(LONGEST_SECONDS)

    def abort():
        answers.append(LocalStore(tmp_path / "root", disk=Aborting()).abort("r"))

    aborting = threading.Thread(target=abort)
    with LocalStore(tmp_path / "root", disk=Opening()).writer("r") as writer:
        opened.set()
        aborting.join()
        assert writer.offset == 0
    assert answers == [None]


def test_a_commit_that_finds_its_blob_there_has_not_ended_what_was_aborted_meanwhile(tmp_path):
    known = LocalStore(tmp_path / "root").add(b"bytes")

    class Committing(Disk):
        """Its commit finds the blob, and then an abort of the ingest comes first."""

        def rename_exclusively(self, source, target, *, folder=None):
            try:
                super().rename_exclusively(source, target, folder=folder)
            finally:
                if source == DATA:
                    LocalStore(tmp_path / "root").abort("r")

    with LocalStore(tmp_path / "root", disk=Committing()).writer("r") as writer:
        writer.write(b"bytes")
        with pytest.raises(Aborted):
            writer.commit()
        with pytest.raises(Aborted):
            writer.digest  # noqa: B018 - it is asked for
    assert list(LocalStore(tmp_path / "root").ingests()) == []
    assert LocalStore(tmp_path / "root").read(known.digest) == b"bytes"


def test_an_opening_that_an_abort_meets_at_its_lock_begins_anew(tmp_path, monkeypatch):
    begin(tmp_path / "root")
    looked, places = locks._is_in_place, []

    def look_and_abort(path, file):
        found = looked(path, file)
        places.append(found)
        if len(places) == 1:
            LocalStore(tmp_path / "root").abort("r")
        return found

    monkeypatch.setattr(locks, "_is_in_place", look_and_abort)
    with LocalStore(tmp_path / "root").writer("r") as writer:
        assert writer.offset == 0
    assert places[:2] == [True, True]
