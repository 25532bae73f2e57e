"""The generated modules are those of the messages as they are written."""

import subprocess

from tests.architecture.pages import ROOT


def test_generated_modules_are_fresh():
    checked = subprocess.run(
        [ROOT / "scripts" / "protos", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr + checked.stdout
