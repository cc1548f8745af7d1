"""What can go wrong with what outlives a request, named by what the caller should do next.

CheckpointsError
  x StoreUnavailable     the server does not answer now: nothing was lost, try again later
  x SearchTimeout        the search was ended at its deadline: narrow it, or try again later
  x StoreMisconfigured   the server answers but cannot serve: the message says what to change
  x DataDirError         the data folder cannot be used: the message says why and what to do
  x BackupRefused        the file or the place it should go to: the message says what to do
  x StaleWriter          another process has taken this thread over: stop writing
  x ValueRefused         a value is out of range, too large or of no known character: change it
  x ListTooLarge         a list would fill the memory: ask for fewer, or for less of each
  x InvalidItem          the store cannot take or look for this: the message says why
  x ThreadBusy           another turn runs on this thread: try again when it has ended
"""


class CheckpointsError(Exception):
    """Base of every error that `checkpoints` raises on purpose."""


class StoreUnavailable(CheckpointsError):
    """Redis or the database does not answer at the moment; trying again later may help."""


class SearchTimeout(CheckpointsError):
    """A search took longer than it may, and was ended; the database itself answers."""


class StoreMisconfigured(CheckpointsError):
    """Redis or the database answers but cannot serve: address, rights, version or memory."""


class DataDirError(CheckpointsError):
    """The data folder is not writable, or another process holds it."""


class BackupRefused(CheckpointsError):
    """A backup cannot be made, read or restored there; nothing was changed."""


class StaleWriter(CheckpointsError):
    """The writer's fencing token is older than the thread's: its turn was taken over.

    Or the thread was deleted under it, and what it would add could not be read without the rest.
    """


class ValueRefused(CheckpointsError):
    """Redis or the database does not take a value; nothing was written, and never will be."""


class ListTooLarge(CheckpointsError):
    """The rows or states of a list come to more bytes than one list may hold; see `bounds`."""


class InvalidItem(CheckpointsError, ValueError):
    """A namespace, key, value or filter that the store cannot take; nothing was written."""


class ThreadBusy(CheckpointsError):
    """Another turn held the thread for as long as the caller would wait."""
