"""Makes the byte code of an image, whose file system is read-only when it runs.

    python compile.py ROOT FOLDER

FOLDER is one of the image, which lies in ROOT while it is built. Nobody who serves imports what is
left out, a third of all byte code; should somebody, Python reads the source.
"""

import compileall
import re
import sys
from py_compile import PycInvalidationMode

LEFT_OUT = re.compile(
    r"/(tests?|testing|idlelib|lib2to3|pydoc_data)/"
    r"|/encodings/(cp|iso|mac|koi|ptcp|kz)"
    r"|/langsmith/(cli|evaluation|sandbox)/"
    r"|/openai/(types|resources)/beta/"
    r"|/pygments/(formatters|lexers|styles)/"
    r"|/sqlalchemy/dialects/(mssql|mysql|oracle)/"
    r"|/site-packages/valkey/"
)


def main(root: str, folder: str) -> int:
    """Compile what is in a folder; 1 if something there has an error."""
    # Not by the times of files, which an image may have otherwise than the machine that built it.
    done = compileall.compile_dir(
        root + folder,
        quiet=1,
        rx=LEFT_OUT,
        workers=0,
        stripdir=root or None,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
