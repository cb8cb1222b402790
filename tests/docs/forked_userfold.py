"""`userfold` as examples call it, without the time that each start takes.

A page calls `userfold` dozens of times, and each time gRPC and the driver would be imported. Here a program imports all
commands once, and forks for each call: the child has the caller's arguments, environment, directory and open files.

`python -m tests.docs.forked_userfold DIRECTORY` writes the program `userfold` into the directory, prints `ready`, and
serves its calls.
"""

import atexit
import json
import os
import signal
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Final

from cli.main import COMMANDS, main

_BYTES: Final = 1024 * 1024

_CALLER: Final = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect({address!r})
    call = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(connection, [json.dumps(call).encode()], [0, 1, 2])
    sys.exit(int(connection.recv(16)))
"""


def serve(directory: Path) -> None:
    """Serve calls until this process is killed."""
    address = str(directory / "calls")
    for _, module, *_ in COMMANDS:
        import_module(module)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        caller = directory / "userfold"
        caller.write_text(_CALLER.format(python=sys.executable, address=address))
        caller.chmod(0o755)
        # The kernel then removes children that have ended.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    _run(connection)


def _run(connection: socket.socket) -> None:
    """Run a command in this process, send its exit status to the caller, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call, files, _, _ = socket.recv_fds(connection, _BYTES, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    arguments, folder, variables = json.loads(call)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    try:
        status = main(arguments)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    connection.send(str(status).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
