"""on_terminal.py COMMAND...: runs COMMAND with a pseudo-terminal as its standard error, prints what came out of that, and ends with
COMMAND's exit code."""
import os
import pty
import subprocess
import sys

master, slave = pty.openpty()
command = subprocess.Popen(sys.argv[1:], stderr=slave, stdout=subprocess.DEVNULL)
os.close(slave)
while True:
    try:
        got = os.read(master, 65536)
    except OSError:  # what Linux says when the other end has closed
        break
    if not got:
        break
    sys.stdout.buffer.write(got)
sys.exit(command.wait())
