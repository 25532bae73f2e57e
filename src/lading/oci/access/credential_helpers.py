"""Helpers: programs `docker-credential-NAME`, which keep credentials elsewhere than in a file.

    docker-credential-NAME get     the server's name comes in, a JSON object comes out
    docker-credential-NAME store   a JSON object comes in
    docker-credential-NAME erase   the server's name comes in

Source: docker's credential-helpers, README.
"""

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from lading.errors import Unauthenticated
from lading.oci.access.credential import Credential, server_names

ANSWER_LIMIT = 1 << 20
"""Bytes of a helper's answer that are believed."""
TIMEOUT_S = 60.0
"""Somebody may have to type the password of a key ring."""

_LOG = logging.getLogger(__name__)
_PREFIX = "docker-credential-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_NOTHING = "credentials not found"
_IS_TOKEN = "<token>"  # noqa: S105 - the name that says that the secret is one
_MESSAGE_LIMIT = 300


class Helper:
    """One helper. It is run anew for each call, with the environment given and never in a shell.

    Raises `Unauthenticated` with one sentence where it is missing, silent or fails.
    """

    def __init__(
        self, name: str, environment: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._name, self._environment, self._timeout_s = name, environment, timeout_s

    @property
    def program(self) -> str:
        """The name of the program."""
        return f"{_PREFIX}{self._name[:100]}"

    def find(self, host: str) -> Credential | None:
        """What it has for a host; None for nothing."""
        for server in server_names(host):
            answer = self._run("get", server, host)
            if answer is not None and (credential := self._read(answer, host)):
                return credential
        return None

    def keep(self, host: str, credential: Credential) -> None:
        """Have it keep a credential, in place of any other for the host."""
        token = credential.identity_token
        said = {
            "ServerURL": server_names(host)[0],
            "Username": _IS_TOKEN if token else credential.username,
            "Secret": token or credential.password,
        }
        self._run("store", json.dumps(said), host)

    def forget(self, host: str) -> bool:
        """Have it erase what it has for a host, and say whether there was anything."""
        had = False
        for server in server_names(host):
            if self._run("get", server, host) is not None:
                self._run("erase", server, host)
                had = True
        return had

    def _run(self, action: str, said: str, host: str) -> bytes | None:
        """Run it; None where it has nothing for the server."""
        found = None
        if _NAME.fullmatch(self._name):
            found = shutil.which(self.program, path=self._environment.get("PATH", ""))
        if found is None:
            raise self._failed(
                host, "is not installed; install it, or take it out of credsStore and credHelpers"
            )
        try:
            done = subprocess.run(  # noqa: S603 - the user's own program, by the user's own file
                [found, action],
                input=said.encode(),
                capture_output=True,
                env=dict(self._environment),
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(host, f"gave no answer in {self._timeout_s:.0f} s") from None
        except OSError as error:
            raise self._failed(host, f"cannot be run: {error.strerror}") from None
        if done.returncode == 0:
            return done.stdout
        # By the protocol its errors come on standard output; not everybody's do.
        told = " ".join(
            (done.stdout.strip() or done.stderr.strip()).decode(errors="replace").split()
        )
        if _NOTHING in told.lower():
            return None
        _LOG.debug("%s %s exited with %d", self.program, action, done.returncode)
        raise self._failed(host, f"failed: {told[:_MESSAGE_LIMIT] or done.returncode}")

    def _read(self, answer: bytes, host: str) -> Credential | None:
        try:
            said: Any = json.loads(answer) if len(answer) <= ANSWER_LIMIT else None
        except (ValueError, RecursionError):
            said = None  # and nothing of it in a sentence, since it may be the secret
        if not isinstance(said, dict):
            raise self._failed(host, "gave an answer that is no JSON object")
        name, secret = said.get("Username") or "", said.get("Secret") or ""
        if not isinstance(name, str) or not isinstance(secret, str):
            raise self._failed(host, "gave an answer without a name and a secret")
        if not secret:
            return None
        # A secret that is nobody's is a token, as containerd has it.
        return Credential("", "", secret) if name in {"", _IS_TOKEN} else Credential(name, secret)

    def _failed(self, host: str, reason: str) -> Unauthenticated:
        return Unauthenticated(host, f"the credential helper {self.program} {reason}")
