"""notified.py SOCKET [NAME=VALUE...] -- COMMAND...: runs COMMAND with NOTIFY_SOCKET leading to a socket of ours, prints what it
was told (a message a line), and ends with COMMAND's exit code. SOCKET is a path, or @ and an abstract name. RELEASE=FIFO: a line
goes into it when the watchdog was quieted."""
import os
import select
import socket
import subprocess
import sys

name, split = sys.argv[1], sys.argv.index("--")
given = dict(v.split("=", 1) for v in sys.argv[2:split])
release = given.pop("RELEASE", None)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.bind("\0" + name[1:] if name[0] == "@" else name)
    s.setblocking(False)
    command = subprocess.Popen(sys.argv[split + 1:], env=dict(os.environ, NOTIFY_SOCKET=name, **given), stdout=subprocess.DEVNULL)
    ended, ticks = False, 0
    while True:
        ready = select.select([s], [], [], 0.05)[0]
        if ready:
            message = s.recv(4096).decode()
            print(message)
            ticks += message == "WATCHDOG=1"
            if release and ticks == 3:
                with open(release, "w") as f:
                    f.write("go\n")
                release = None
        elif ended:
            break
        else:
            ended = command.poll() is not None
sys.exit(command.returncode)
