"""Small real file systems, which fill up."""

import os
import subprocess

import pytest

IMAGE_SIZE = 16 << 20
SHORT = {"tmpfs": "a file system in memory of 8 MiB", "ext4": "an ext4 of 16 MiB"}


def _run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _mount(kind, place, image):
    """Mount a small file system at `place`; give the reason if that cannot be done."""
    if kind == "tmpfs":
        done = _run("mount", "-t", "tmpfs", "-o", "size=8m", "lading-test", str(place))
    else:
        image.touch()
        os.truncate(image, IMAGE_SIZE)
        done = _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        if done.returncode == 0:
            done = _run("mount", "-o", "loop", str(image), str(place))
    return None if done.returncode == 0 else done.stderr.strip() or "it failed"


@pytest.fixture(params=SHORT)
def small(request, tmp_path):
    """A folder on a file system of its own that has little room."""
    place = tmp_path / "small"
    place.mkdir()
    try:
        reason = _mount(request.param, place, tmp_path / "image")
    except FileNotFoundError as error:
        reason = str(error)
    try:
        if reason is not None:
            # Under CI too: many a container forbids it, and no package would help.
            pytest.skip(f"cannot mount {SHORT[request.param]}: {reason}")
        yield place
    finally:
        if os.path.ismount(place):
            unmounted = _run("umount", str(place))
            assert unmounted.returncode == 0, unmounted.stderr
