"""Runs one command and prints what it took: measure.py OUTPUT-FILE COMMAND ARG...

One line of JSON: seconds of wall clock, user and system, peak memory in KiB (of the largest process
below the command), and the exit code. The command's output goes into the file.
"""

import json
import os
import sys
import time

output = (os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
started = time.monotonic()
pid = os.posix_spawnp(
    sys.argv[2],
    sys.argv[2:],
    os.environ,
    file_actions=[output, (os.POSIX_SPAWN_DUP2, 1, 2)],
)
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - started
print(
    json.dumps(
        {
            "wall": wall,
            "user": usage.ru_utime,
            "sys": usage.ru_stime,
            "memory": usage.ru_maxrss,
            "code": os.waitstatus_to_exitcode(status),
        }
    )
)
