"""Mutations of writing, resuming and locking."""

from tests.mutations.mutation import (
    AT_EACH_CALL,
    CONFORMANCE,
    CUTS,
    DEAD_LOCKS,
    FAILED_SYNCS,
    FAILING_CALLS,
    RACES,
    REGRESSIONS,
    ROOM,
    SHORT_WRITES,
    UNIT,
    Mutation,
    cuts,
)

WRITER = f"{ROOM}/writer.py"
INGESTS = f"{ROOM}/ingests.py"
CHECKPOINT = f"{ROOM}/checkpoint.py"
LOCKS = f"{ROOM}/locks.py"
FOLLOWER = f"{ROOM}/follower.py"
SIDECARS = f"{ROOM}/sidecars.py"
BEFORE_TRUNCATION = "test_bytes_from_before_a_truncation_never_come_back_among_later_ones"
HASHING = "src/lading/model/hashing.py"

WRITING = (
    Mutation(
        "the offset counts what was offered",
        WRITER,
        "                done += count\n        except",
        "                done += len(view[done : done + WRITE_SIZE])\n        except",
        (REGRESSIONS, SHORT_WRITES),
    ),
    Mutation(
        "after a failed write the offset is what was hoped for",
        WRITER,
        "            self._advance(done)\n",
        "            self._advance(size)\n",
        (REGRESSIONS, SHORT_WRITES),
    ),
    Mutation(
        "what was offered is hashed, and not what was stored",
        WRITER,
        "        self._advance(size)\n        return size\n",
        "        self._hashed().update(view)\n"
        "        self._follower.position += size\n"
        "        self._advance(size)\n"
        "        return size\n",
        (f"{UNIT}/test_writer.py", DEAD_LOCKS),
    ),
    Mutation(
        "more than the total is taken",
        WRITER,
        "        if total is not None and self._offset + more > total:",
        "        if False:",
        (CONFORMANCE, REGRESSIONS),
    ),
    Mutation(
        "the size is not checked",
        WRITER,
        "        if size is not None and size != self._offset:",
        "        if False:",
        (CONFORMANCE,),
    ),
    Mutation(
        "the digest is not checked",
        WRITER,
        "        if expected is not None and expected != digest:",
        "        if False:",
        (CONFORMANCE,),
    ),
    Mutation(
        "a commit that finds the blob keeps the ingest",
        WRITER,
        "            self._end(digest, was_there=True)\n            raise",
        "            raise",
        (CONFORMANCE,),
    ),
    Mutation(
        "a commit that finds the blob succeeds though its ingest was aborted",
        WRITER,
        "        is_aborted = was_there and not had_data\n",
        "        is_aborted = was_there and digest is None\n",
        ("tests/races/test_aborts.py",),
    ),
    Mutation(
        "an aborted writer does not hear of it",
        WRITER,
        "        except FileNotFoundError:\n            return True\n        return (",
        "        except FileNotFoundError:\n            return False\n        return (",
        (CONFORMANCE,),
    ),
    Mutation(
        "truncating keeps the checkpoint",
        WRITER,
        "                ingest.checkpoint.forget(self._folder)\n",
        "                pass\n",
        (f"{CUTS}::{BEFORE_TRUNCATION}", *cuts("truncates_what_was_synced")),
    ),
    Mutation(
        "truncating keeps the hash",
        WRITER,
        "        self._follow(hashing.hasher(self._ingest.hasher.algorithm), 0)",
        "        self._follow(self._ingest.hasher, 0)",
        (CONFORMANCE,),
    ),
    Mutation(
        "closing syncs nothing",
        WRITER,
        "                self._make_durable(closing=True)",
        "                pass",
        cuts("closes_and_resumes"),
    ),
    Mutation(
        "a sync does not sync the bytes",
        WRITER,
        "            if self._offset:\n                self._sync_data()\n",
        "",
        cuts("closes_and_resumes", "syncs_often"),
    ),
    Mutation(
        "a sync does not sync the small files",
        WRITER,
        "                sidecars.record(self._disk, folder, ingest.known)\n",
        "",
        cuts("closes_and_resumes", "syncs_often"),
    ),
    Mutation(
        "a sync does not sync the ingest's folder",
        WRITER,
        "                sidecars.record(self._disk, folder, ingest.known)\n"
        "                self._disk.sync_directory(self._folder)\n",
        "                sidecars.record(self._disk, folder, ingest.known)\n",
        cuts("closes_and_resumes", "syncs_often"),
    ),
    Mutation(
        "a sync does not record the ingest's folder",
        WRITER,
        "                self._disk.sync_directory(self._paths.ingests)\n",
        "",
        cuts("closes_and_resumes", "syncs_often"),
    ),
    Mutation(
        "a failed sync is forgotten",
        WRITER,
        "            self._give_up_unsynced()\n            self._release(WriterClosed)\n",
        "",
        (FAILED_SYNCS,),
    ),
    Mutation(
        "after a failed sync its bytes still count",
        WRITER,
        "            self._give_up_unsynced()\n",
        "",
        (FAILED_SYNCS,),
    ),
    Mutation(
        "no mark is made while bytes arrive",
        WRITER,
        "            self._ingest.mark_live(self._disk)",
        "            pass",
        ("tests/kills/test_cost_of_resuming.py",),
    ),
    Mutation(
        "the hash ends where the file does, whatever was written",
        FOLLOWER,
        '                raise EOFError(f"the file ends at {self.position}, not at {end}")',
        "                self.position = end\n                continue",
        (UNIT, DEAD_LOCKS),
    ),
)

RESUMING = (
    Mutation(
        "what a reboot left is believed",
        CHECKPOINT,
        "(mark.durable or mark.boot == boot)",
        "True",
        (UNIT, *cuts("syncs_often")),
    ),
    Mutation(
        "after a reboot every byte is believed",
        CHECKPOINT,
        "        keep=size if any(mark.boot == boot for mark in marks) else synced,",
        "        keep=size,",
        (REGRESSIONS, *cuts("syncs_often")),
    ),
    Mutation(
        "a mark of another time is believed",
        CHECKPOINT,
        "        if mark.updated == updated and mark.offset <= size",
        "        if mark.offset <= size",
        (UNIT, REGRESSIONS),
    ),
    Mutation(
        "a mark past the end is believed",
        CHECKPOINT,
        " and mark.offset <= size and (",
        " and (",
        (UNIT, *cuts("syncs_often")),
    ),
    Mutation(
        "a mark is believed though somebody wrote since the closing",
        CHECKPOINT,
        "    usable = [mark for mark in marks if mark.mtime_ns in {0, mtime_ns}]",
        "    usable = marks",
        (UNIT, REGRESSIONS),
    ),
    Mutation(
        "a torn mark is read",
        CHECKPOINT,
        "    if hashlib.sha256(text).hexdigest().encode() != checksum:",
        "    if False:",
        (UNIT,),
    ),
    Mutation(
        "a durable mark is not synced",
        CHECKPOINT,
        "            self._next_durable = 1 - slot\n            self._disk.sync(file)\n",
        "            self._next_durable = 1 - slot\n",
        (UNIT, *cuts("syncs_often", "closes_and_resumes")),
    ),
    Mutation(
        "a durable mark is written over the one before",
        CHECKPOINT,
        "            self._next_durable = 1 - slot\n",
        "            self._next_durable = slot\n",
        (UNIT, *cuts("syncs_often")),
    ),
    Mutation(
        "what is forgotten is not yet gone from the disk",
        CHECKPOINT,
        "        self._next_durable = 0 if but is None else 1\n"
        "        self._disk.sync_directory(path)\n",
        "        self._next_durable = 0 if but is None else 1\n",
        (UNIT, CUTS),
    ),
    Mutation(
        "a mark of other bytes is believed",
        INGESTS,
        "    marks = [mark for mark in checkpoint.marks()"
        " if mark.tail == tail_of(file, mark.offset)]",
        "    marks = checkpoint.marks()",
        (f"{UNIT}/test_writer.py", f"{CUTS}::{BEFORE_TRUNCATION}"),
    ),
    Mutation(
        "what is not believed is not cut off",
        INGESTS,
        "        disk.truncate(file, keep)\n",
        "",
        (REGRESSIONS, AT_EACH_CALL),
    ),
    Mutation(
        "what goes can still be vouched for",
        INGESTS,
        "            checkpoint.forget(path, but=vouching._replace(mtime_ns=0, state=state))",
        "            pass",
        (AT_EACH_CALL, "tests/crash/test_kills_and_cuts.py"),
    ),
    Mutation(
        "for a moment nothing vouches for what was synced",
        INGESTS,
        "            checkpoint.forget(path, but=vouching._replace(mtime_ns=0, state=state))",
        "            checkpoint.forget(path)\n"
        "            checkpoint.write(vouching._replace(mtime_ns=0, state=state))",
        (AT_EACH_CALL,),
    ),
    Mutation(
        "what an ended ingest left gets into the next",
        INGESTS,
        "            _clear(disk, folder, names)\n",
        "",
        (REGRESSIONS, CUTS),
    ),
    Mutation(
        "after a reboot a young ingest is believed",
        INGESTS,
        "        marks = [_first_mark(file, known, known.boot)]",
        "        marks = [_first_mark(file, known, disk.boot_id())]",
        (f"{UNIT}/test_writer.py",),
    ),
    Mutation(
        "an ingest that grows up has its ref before all else",
        INGESTS,
        "        sidecars.write(disk, folder, self.known)\n"
        "        self.checkpoint.write(self.mark(disk, durable=False))\n"
        "        sidecars.write_ref(disk, folder, self.known)\n",
        "        sidecars.write_ref(disk, folder, self.known)\n"
        "        sidecars.write(disk, folder, self.known)\n"
        "        self.checkpoint.write(self.mark(disk, durable=False))\n",
        (AT_EACH_CALL,),
    ),
    Mutation(
        "a long ingest stays young",
        WRITER,
        "        if self._ingest.is_young and self._offset >= follower.INLINE_LIMIT:",
        "        if False:",
        ("tests/kills/test_cost_of_resuming.py", f"{UNIT}/test_writer.py"),
    ),
    Mutation(
        "a ref takes up a transfer of another size",
        INGESTS,
        "        if stored is not None and given is not None and stored != given:",
        "        if False:",
        (REGRESSIONS, CONFORMANCE),
    ),
    Mutation(
        "bytes that have another name are written in place",
        INGESTS,
        "        if found.st_nlink > 1:",
        "        if False:",
        (f"{UNIT}/test_writer.py", CUTS),
    ),
    Mutation(
        "no room is reserved",
        INGESTS,
        "            disk.reserve(ingest.file, ingest.offset, needed)",
        "            pass",
        (f"{UNIT}/test_writer.py", "tests/faults/test_full_file_systems.py"),
    ),
    Mutation(
        "a folder is believed without its ref",
        SIDECARS,
        "    if not ref or key_of(ref) != key:",
        "    if not ref:",
        (REGRESSIONS, UNIT),
    ),
    Mutation(
        "a saved hash is taken for any count",
        HASHING,
        "        if len(state) < fixed or len(pending) != count % layout.block:",
        "        if len(state) < fixed:",
        ("tests/unit/model/test_hashing.py",),
    ),
    Mutation(
        "libcrypto is trusted unseen",
        HASHING,
        "        right = all(_answers_are_right(crypto, algorithm) for algorithm in ALGORITHMS)",
        "        right = True",
        ("tests/unit/model/test_hashing.py",),
    ),
)

LOCKING = (
    Mutation(
        "the lock is not taken",
        LOCKS,
        "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n    except BlockingIOError",
        "        pass\n    except BlockingIOError",
        (CONFORMANCE,),
    ),
    Mutation(
        "the lock of a folder that is gone counts",
        LOCKS,
        "            if _is_in_place(path, file):",
        "            if True:",
        (UNIT, RACES),
    ),
    Mutation(
        "locks that hold nobody are trusted",
        LOCKS,
        "                trusted = works is True and _holds_against_us(folder)",
        "                trusted = True",
        (UNIT, DEAD_LOCKS),
    ),
    Mutation(
        "a lock is released a second time",
        LOCKS,
        "            if not self.held:\n                return\n",
        "",
        (UNIT,),
    ),
    Mutation(
        "a lock is freed by its name",
        LOCKS,
        "            if not self.held:\n                return\n",
        "            for lock in [] if self.held else list(_held):\n"
        "                lock.release()\n"
        "            if not self.held:\n"
        "                return\n",
        (UNIT,),
    ),
    Mutation(
        "the child of a fork frees its parent's lock",
        LOCKS,
        "            # Only closed: unlocking would free the parent's lock, which is the same"
        " one.\n"
        "            os.close(self._file)\n",
        "            fcntl.flock(self._file, fcntl.LOCK_UN)\n            os.close(self._file)\n",
        (UNIT, RACES),
    ),
    Mutation(
        "the child of a fork holds its parent's lock",
        LOCKS,
        "os.register_at_fork(after_in_child=_after_fork)",
        "",
        (f"{RACES}/test_locks.py",),
    ),
    Mutation(
        "a waiting writer does not look again for its blob",
        f"{ROOM}/store.py",
        "            if wait and expected is not None and",
        "            if False and",
        (CONFORMANCE,),
    ),
    Mutation(
        "a refused opening keeps its lock",
        f"{ROOM}/store.py",
        "            lock.release()\n",
        "",
        (REGRESSIONS, CONFORMANCE),
    ),
    Mutation(
        "who opens what is being aborted is told that the root is gone",
        f"{ROOM}/store.py",
        "            if lost:\n",
        "            if False:\n",
        (RACES, FAILING_CALLS),
    ),
)
