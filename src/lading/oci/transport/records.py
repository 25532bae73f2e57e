"""TLS sockets that give all that has come, and can be cut by another thread.

what has come        16 KiB │ 16 KiB │ 16 KiB │ 9 KiB       records
ssl gives            one of them a call, whatever it is asked for
this gives           all of them, up to what it is asked for
"""

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RecordsSocket(ssl.SSLSocket):
    """The socket of a client. Belongs to one thread at a time, but for `shutdown`."""

    _failure: OSError | None = None

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        """Fill the buffer from what is there; wait only while that is nothing.

        A failure behind bytes that came is raised by the call after the one that gave them.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        count = super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer)
        size = nbytes or view.nbytes
        timeout = self.gettimeout()
        if not 0 < count < size or timeout == 0:
            return count
        # Records one by one are a turn each of everything above us: that is more work than to
        # decrypt them, and done without letting go of the interpreter.
        self.settimeout(0)
        try:
            while count < size and (more := super().recv_into(view[count:], size - count)):
                count += more
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as failure:
            self._failure = failure
        finally:
            self.settimeout(timeout)
        return count

    def shutdown(self, how: int) -> None:
        """End the connection under whoever reads from it. From any thread.

        Below TLS: `ssl` itself would also forget that there is any, and the reader be given the
        rest of what has come as it came, in cipher.
        """
        super(ssl.SSLSocket, self).shutdown(how)
