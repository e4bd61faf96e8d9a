"""listener.py FOLDER [CERTIFICATE KEY]: a server on loopback that notes every POST as a line of JSON in FOLDER/requests and
answers as FOLDER/mode says: a status, or "hang" for never. Writes its port into the pipe FOLDER/port when it listens."""
import http.server
import json
import ssl
import sys
import threading

folder = sys.argv[1]
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with open(folder + "/mode") as f:
            mode = f.read().strip()
        with lock, open(folder + "/requests", "a") as f:
            f.write(json.dumps({"path": self.path, "type": self.headers["Content-Type"], "body": body, "mode": mode}) + "\n")
        if mode == "hang":
            threading.Event().wait()
        self.send_response(int(mode))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(folder + "/port", "w") as f:
    f.write("%d\n" % server.server_address[1])
server.serve_forever()
