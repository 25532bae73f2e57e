"""Mutations of publishing, of what is there, and of ending."""

from tests.mutations.mutation import (
    AT_EACH_CALL,
    CONFORMANCE,
    CUTS,
    DEAD_LOCKS,
    FAILED_SYNCS,
    KILLS_AND_CUTS,
    RACES,
    REGRESSIONS,
    ROOM,
    UNIT,
    Mutation,
    cuts,
)

WRITER = f"{ROOM}/writer.py"
PUBLICATION = f"{ROOM}/publication.py"
BLOBS = f"{ROOM}/blobs.py"
BATCH = f"{ROOM}/batch.py"
DISK = f"{ROOM}/disk.py"
SCRATCH = f"{ROOM}/scratch.py"
SPARES = f"{ROOM}/spares.py"
STORE = f"{ROOM}/store.py"

PUBLISHING = (
    Mutation(
        "the bytes are not synced before they get their name",
        WRITER,
        "                self._sync_data()\n                self._move(publication)\n",
        "                self._move(publication)\n",
        cuts("commits_at_once"),
    ),
    Mutation(
        "the bytes get their name before they are synced",
        WRITER,
        "                self._sync_data()\n                self._move(publication)\n",
        "                self._move(publication)\n                self._sync_data()\n",
        cuts("commits_at_once"),
    ),
    Mutation(
        "the folder of a new name is not synced",
        BLOBS,
        "        is_new = self._named(digest, size, name, replace)\n"
        "        self._sync_names(digest.algorithm)\n",
        "        is_new = self._named(digest, size, name, replace)\n",
        cuts("commits_at_once"),
    ),
    Mutation(
        "the standing folders are not recorded",
        DISK,
        "            self.sync_directory(path.parent)\n        except PermissionError",
        "            pass\n        except PermissionError",
        (REGRESSIONS, *cuts("commits_at_once")),
    ),
    Mutation(
        "a blob gets its name before its mode and time",
        WRITER,
        "                self._disk.seal(self._file, now_ns)\n",
        "",
        (REGRESSIONS,),
    ),
    Mutation(
        "a new blob takes the place of the one that is there",
        DISK,
        "        if not kernel.rename_exclusively(folder, source, target):",
        "        os.rename(source, target, src_dir_fd=folder)\n        if False:",
        (REGRESSIONS, CONFORMANCE),
    ),
    Mutation(
        "where locks are not trusted the file itself is published",
        WRITER,
        "            if self._lock.trusted and os.fstat",
        "            if os.fstat",
        (DEAD_LOCKS,),
    ),
    Mutation(
        "a copy is published unread",
        PUBLICATION,
        "            if actual != self.digest:",
        "            if False:",
        (DEAD_LOCKS,),
    ),
    Mutation(
        "a copy is published before it is synced",
        PUBLICATION,
        "            self.disk.seal(draft.file, self.now_ns)\n"
        "            self.disk.sync(draft.file)\n",
        "            self.disk.seal(draft.file, self.now_ns)\n",
        (f"{CUTS}::test_nothing_is_lost_where_locks_are_not_trusted",),
    ),
    Mutation(
        "what is added is not synced",
        STORE,
        "                self._disk.sync(draft.file)\n",
        "",
        cuts("adds"),
    ),
    Mutation(
        "a batch does not sync its bytes",
        BATCH,
        "        if not (together and self._disk.sync_file_system(self._paths.blobs)):",
        "        if False:",
        cuts("batches_a_few", "batches_many"),
    ),
    Mutation(
        "a batch does not sync its names",
        BLOBS,
        "        for algorithm in algorithms:\n            self._sync_names(algorithm)\n",
        "",
        cuts("batches_a_few"),
    ),
    Mutation(
        "a batch forgets that it failed",
        BATCH,
        "            self._failure, self._open = failure, False\n",
        "            assert failure\n",
        (f"{UNIT}/test_batch.py", "tests/faults"),
    ),
    Mutation(
        "a folder whose sync failed is synced again",
        DISK,
        "            self._failed[path] = error\n",
        "",
        (REGRESSIONS, FAILED_SYNCS),
    ),
)

BEING_THERE = (
    Mutation(
        "a blob that is there is not synced before it is said to be",
        BLOBS,
        "            with self.open(digest) as file:\n"
        "                self._disk.sync(file.fileno())\n"
        "        except NotFound:",
        "            with self.open(digest) as file:\n"
        "                file.fileno()\n"
        "        except NotFound:",
        (KILLS_AND_CUTS, CUTS),
    ),
    Mutation(
        "the name of a blob that is there is not synced before it is said to be",
        BLOBS,
        "        self._sync_names(digest.algorithm)\n        return blob\n",
        "        return blob\n",
        (KILLS_AND_CUTS, CUTS),
    ),
    Mutation(
        "a blob that is there is not read before it is believed",
        BLOBS,
        "            if self._is_whole(digest, size):",
        "            if True:",
        (REGRESSIONS, CONFORMANCE),
    ),
    Mutation(
        "whatever lies among the blobs is listed",
        BLOBS,
        "                    if is_file(found.st_mode):",
        "                    if True:",
        (REGRESSIONS, CONFORMANCE),
    ),
    Mutation(
        "links among the blobs are followed",
        BLOBS,
        "os.open(self._paths.blob_name(digest), READ)",
        "os.open(self._paths.blob_name(digest), READ & ~os.O_NOFOLLOW)",
        (f"{UNIT}/test_blobs.py", CONFORMANCE, REGRESSIONS),
    ),
    Mutation(
        "a writer goes on in what may be a blob where it gets no old name",
        PUBLICATION,
        """            self.disk.link_within(target, folder, DATA)
        return True""",
        """            self.disk.link_within(target, folder, DATA)
            return True
        return False""",
        (f"{REGRESSIONS}/test_durability.py",),
    ),
    Mutation(
        "containerd's root is written",
        STORE,
        "            if reason is not None:\n                raise reason\n",
        "",
        (REGRESSIONS,),
    ),
)

ENDING = (
    Mutation(
        "an ingest is emptied where its ref can be taken",
        SCRATCH,
        "        disk.rename(folder, grave)\n",
        "        grave = folder\n        os.stat(folder)\n",
        (UNIT, RACES),
    ),
    Mutation(
        "of an ending ingest the data goes last",
        SCRATCH,
        "    had_data = DATA in names and disk.remove(DATA, folder=folder)\n",
        "",
        (UNIT,),
    ),
    Mutation(
        "of an ending ingest the lock goes first",
        f"{ROOM}/paths.py",
        "REF, BEGINNING, LOCK)",
        "REF, BEGINNING)\nENDING_ORDER = (DATA, LOCK, *ENDING_ORDER[1:])",
        (UNIT, RACES, CUTS),
    ),
    Mutation(
        "a sweep takes what is in use",
        SCRATCH,
        " and not in_use(Path(entry.path))",
        "",
        (UNIT,),
    ),
    Mutation(
        "a sweep takes what is new",
        SCRATCH,
        "            if age > SWEEP_AGE_NS and",
        "            if",
        (UNIT,),
    ),
    Mutation(
        "a committed ingest stays",
        WRITER,
        "had_data = not is_kept and end(self._disk, self._lock.folder, self._folder)\n",
        "had_data = not is_kept\n",
        (CONFORMANCE, AT_EACH_CALL),
    ),
    Mutation(
        "as many adds go together as there are threads",
        "src/lading/metadata/together.py",
        "while self._waiting and len(group) < self._most:",
        "while self._waiting:",
        ("tests/metadata/test_together.py",),
    ),
    Mutation(
        "one add that fails fails for all that go with it",
        "src/lading/metadata/together.py",
        "            with contextlib.suppress(Exception):\n                if len(group) > 1:",
        "            if True:\n                if len(group) > 1:",
        ("tests/metadata/test_together.py",),
    ),
    Mutation(
        "a folder is kept with the bytes in it",
        SPARES,
        "        return False  # what was published is a copy, or was there already\n",
        "        pass\n",
        (UNIT,),
    ),
    Mutation(
        "a folder is kept in whose files a backup has a part",
        SPARES,
        ".st_nlink == 1\n",
        ".st_nlink > 0\n",
        (UNIT,),
    ),
    Mutation(
        "a ref gets a folder that it has had before",
        SPARES,
        "            if path.name in lock.names_had:\n",
        "            if False:\n",
        (UNIT,),
    ),
    Mutation(
        "a commit keeps a folder that an abort has put another in the place of",
        SPARES,
        "if not is_sure or not lock.is_in_place() or (own",
        "if not is_sure or (own",
        (UNIT,),
    ),
    Mutation(
        "a spare folder takes the place of the ref's own",
        SPARES,
        "self._moved(lock, path, exclusively=True)",
        "self._moved(lock, path)",
        (UNIT,),
    ),
    Mutation(
        "the child of a fork uses its parent's folders",
        SPARES,
        "            elif lock.held:  # a fork's child has none of its parent's\n",
        "            else:\n",
        (UNIT,),
    ),
    Mutation(
        "a folder that an abort may be moving is renamed",
        SPARES,
        "                if not is_sure or not lock.is_in_place()",
        "                if not lock.is_in_place()",
        (UNIT,),
    ),
    Mutation(
        "an abort waits for no commit",
        f"{ROOM}/renaming.py",
        "_is_locked(place, fcntl.LOCK_EX)",
        "_is_locked(place, fcntl.LOCK_SH)",
        (UNIT,),
    ),
    Mutation(
        "a folder that was moved in the place of ours is kept",
        SPARES,
        "            if lock.is_in_place():\n                self._waiting",
        "            if lock.held:\n                self._waiting",
        (UNIT,),
    ),
    Mutation(
        "an abort takes no blob's bytes, but says that it did",
        STORE,
        "            if not scratch.bury(self._disk, self._paths, self._paths.ingest(ref)):\n"
        '                raise NotFound(ref, "ingest")\n',
        "            scratch.bury(self._disk, self._paths, self._paths.ingest(ref))\n",
        (RACES, CONFORMANCE),
    ),
)
