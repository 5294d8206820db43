"""A stand-in for the Hugging Face hub on the loopback: listing, resolve, redirects, ranges, and faults on order.

    with Hub({"owner/repo": {"model.gguf": b"..."}}) as hub:
        hub.url                       # what HF_ENDPOINT is set to
        hub.fault("cut", after=1000)  # for the next request of file contents
        hub.log                       # [(method, path, headers), ...]

Contents are served by a second server, as the hub's are by its CDN, so that redirects leave the host.
"""

import hashlib
import http.server
import json
import threading
import time
import urllib.parse


def etag_of(data):
    return '"' + hashlib.md5(data).hexdigest() + '"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.hub.log.append((self.server.role, self.path, dict(self.headers)))
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.server.role == "cdn":
            self.contents(path)
        elif path.startswith("/api/models/"):
            self.listing(path)
        else:
            self.resolve(path)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refused(self, repo):
        hub = self.server.hub
        if repo not in hub.repos:  # the hub does not tell whether a private repository exists
            self.answer(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return True
        if repo in hub.gated and self.headers.get("Authorization") != "Bearer " + hub.token:
            status = 403 if "Authorization" in self.headers else 401
            self.answer(status, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
            return True
        return False

    def listing(self, path):
        hub = self.server.hub
        owner, name, tree, _ = path.removeprefix("/api/models/").split("/", 3)
        repo = owner + "/" + name
        if hub.take("listing_500"):
            return self.answer(500)
        if self.refused(repo):
            return None
        entries = [{"type": "directory", "oid": "0", "size": 0, "path": "folder"}]
        for file, data in sorted(hub.repos[repo].items()):
            sha = hub.listed_hash.get(file) or hashlib.sha256(data).hexdigest()
            entries.append({"type": "file", "oid": "1" * 40, "size": len(data), "path": file,
                            "lfs": {"oid": sha, "size": len(data), "pointerSize": 130}})
        entries.append({"type": "file", "oid": "2" * 40, "size": 3, "path": "../../escape.gguf"})
        page = int(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("page", ["0"])[0])
        part = entries[page * hub.page_size:(page + 1) * hub.page_size]
        headers = {}
        if (page + 1) * hub.page_size < len(entries):
            headers["Link"] = f'<{hub.url}{path}?recursive=true&page={page + 1}>; rel="next"'
        return self.answer(200, json.dumps(part).encode(), Content_Type="application/json", **headers)

    def resolve(self, path):
        hub = self.server.hub
        owner, name, _, _, file = path.removeprefix("/").split("/", 4)
        repo = owner + "/" + name
        if self.refused(repo):
            return None
        if file not in hub.repos[repo]:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
        data = hub.repos[repo][file]
        return self.answer(302, Location=f"{hub.cdn_url}/{repo}/{urllib.parse.quote(file)}",
                           X_Linked_Etag='"' + hashlib.sha256(data).hexdigest() + '"', X_Linked_Size=str(len(data)),
                           ETag='"' + "3" * 40 + '"')

    def contents(self, path):
        hub = self.server.hub
        owner, name, file = path.removeprefix("/").split("/", 2)
        data = hub.repos.get(owner + "/" + name, {}).get(file)
        if data is None:
            return self.answer(404)
        kind, setting = hub.take_fault()
        if kind == "status":
            return self.answer(setting, **({"Retry_After": "0"} if setting == 429 else {}))
        if kind == "wrong_bytes":
            data = data[:-1] + bytes([data[-1] ^ 1])
        etag = etag_of(data)
        begin = 0
        asked = self.headers.get("Range")
        if asked and hub.ranges and self.headers.get("If-Range", etag) == etag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                return self.answer(416, Content_Range=f"bytes */{len(data)}")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[begin:]
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(setting if kind == "announce" else len(body)))
        self.end_headers()
        return self.send_body(body, kind, setting)

    def send_body(self, body, kind, setting):
        if kind == "cut":
            self.wfile.write(body[:setting])
            self.wfile.flush()
            self.close_connection = True
        elif kind == "slow":
            for at in range(0, len(body), setting):
                self.wfile.write(body[at:at + setting])
                self.wfile.flush()
                time.sleep(0.05)
        elif kind == "announce":
            self.wfile.write(body)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client under test may leave at any time


class Hub:
    def __init__(self, repos, gated=(), token="hf_secret"):
        self.repos, self.gated, self.token = repos, set(gated), token
        self.listed_hash = {}  # file -> the hash that the listing claims instead
        self.ranges = True
        self.page_size = 1000
        self.log, self.faults, self.flags = [], [], []
        self.lock = threading.Lock()

    def fault(self, kind, setting=None):
        """For the next request of contents that has no fault yet; "none" lets one through."""
        self.faults.append((kind, setting))

    def take_fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else (None, None)

    def take(self, flag):
        with self.lock:
            if flag not in self.flags:
                return False
            self.flags.remove(flag)
            return True

    def requests(self, role):
        return [entry for entry in self.log if entry[0] == role]

    def start(self, role):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.role, server.hub = role, self
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server, f"http://127.0.0.1:{server.server_address[1]}"

    def __enter__(self):
        self.hub_server, self.url = self.start("hub")
        self.cdn_server, self.cdn_url = self.start("cdn")
        return self

    def __exit__(self, *_):
        for server in (self.hub_server, self.cdn_server):
            server.shutdown()
            server.server_close()
