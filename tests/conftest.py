"""What every test may ask for."""

import os
import signal
import sysconfig

import hypothesis
import pytest

pytest_plugins = ["tests.support.postgresql"]

# A deadline would measure the machine, not the code. Under CI the same examples run each time,
# so that a red build can be run again; elsewhere new ones are looked for.
hypothesis.settings.register_profile(
    "lading", deadline=None, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("lading")

# A shell has its background jobs ignore Ctrl-C, and they hand that on. Commands that a test stops
# would ignore it as well, and the test would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def own_environment(tmp_path):
    """An environment for programs: this virtual environment first, and nobody's home."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", ""))),
        "TMPDIR": str(tmp_path),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_STATE_HOME": str(home / "state"),
    }
