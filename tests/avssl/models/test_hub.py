"""Encoders pushed to and loaded from a stand-in of the Hugging Face Hub, on this machine."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.errors import InputError
from avssl.models import Encoders, build_encoders
from avssl.models.hub import Repository, repository_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_local"


class Hub(BaseHTTPRequestHandler):
    """The requests of huggingface_hub that a push and a download of small files make."""

    files: ClassVar[dict[str, bytes]] = {}

    def log_message(self, *args):
        """Quiet."""

    def reply(self, value, status=200, **headers):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.reply({"error": "no token"}, 401)
        elif self.path == "/api/repos/create":
            self.reply({"url": f"http://{self.headers['Host']}/user/small"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self.reply(
                {"files": [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]}
            )
        elif "/commit/" in self.path:
            for each in (json.loads(line) for line in body.splitlines()):
                if each["key"] == "file":
                    self.files[each["value"]["path"]] = base64.b64decode(each["value"]["content"])
            self.reply({"commitUrl": f"http://{self.headers['Host']}/user/small/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.reply({}, 200)

    def do_GET(self):
        found = re.fullmatch(r"/user/small/resolve/[^/]+/(.+)", self.path)
        if found and found[1] in self.files:
            body = self.files[found[1]]
            self.reply(body, X_Repo_Commit=COMMIT, ETag=f'"{hashlib.sha256(body).hexdigest()}"')
        elif re.match(r"/api/models/user/small(/revision/\w+)?(\?|$)", self.path):
            self.reply({"id": "user/small", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]})
        elif self.path.startswith("/api/models/user/small/tree/"):
            sizes = {name: len(body) for name, body in self.files.items()}
            oid = "0" * 40
            self.reply([{"type": "file", "path": name, "size": size, "oid": oid} for name, size in sizes.items()])
        else:
            self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    def do_HEAD(self):
        self.do_GET()


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    Hub.files.clear()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def python(code, tmp_path, endpoint, token=TOKEN):
    """Output, errors and exit code of a process that takes the stand-in for the hub."""
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": token, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr, done.returncode


@pytest.fixture(scope="module")
def encoders():
    torch.manual_seed(0)
    return build_encoders(ModelConfig(), FeatureConfig(name="foa-iv", mels=16)).eval()


CLI = "import sys; from avssl.cli import main; sys.argv = ['avssl', *{}]; main()"


@pytest.mark.heavy
def test_pushed_encoders_come_back_bit_by_bit_and_nothing_else_is_uploaded(encoders, tmp_path):
    encoders.save(tmp_path / "run" / "encoders", {"task": "avsa"})
    (tmp_path / "run" / "encoders" / "notes.txt").write_text("private")
    with serving() as endpoint:
        pushed = python(CLI.format(["push", str(tmp_path / "run"), "hf://user/small"]), tmp_path, endpoint)
        assert pushed[2] == 0, pushed
        assert COMMIT in pushed[0]
        assert sorted(Hub.files) == ["README.md", "config.json", "model.safetensors"]
        load = (
            "from avssl.models import Encoders; e = Encoders.from_pretrained('hf://user/small'); print(e.fingerprint())"
        )
        fetched = python(load, tmp_path, endpoint)
        assert fetched[0].strip() == encoders.fingerprint(), fetched
    assert python(load, tmp_path, endpoint)[0].strip() == encoders.fingerprint()  # without the hub, from its cache


@pytest.mark.heavy
def test_refusals_of_the_hub_are_one_line(encoders, tmp_path):
    encoders.save(tmp_path / "encoders")
    with serving() as endpoint:
        push = CLI.format(["push", str(tmp_path / "encoders"), "hf://user/small"])
        for code, token, word in (
            (push, "hf_wrong", "hf://user/small"),
            (CLI.format(["embed", str(tmp_path), "o.npz", "--encoders", "hf://user/other"]), TOKEN, "hf://user/other"),
        ):
            _, errors, status = python(code, tmp_path, endpoint, token)
            assert status == 2, errors
            assert word in errors
            assert len(errors.strip().splitlines()) == 1, errors
        assert not Hub.files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://user/name", Repository("user/name", None)),
        ("hf:/user/name", Repository("user/name", None)),
        ("hf://user/name@v1.2", Repository("user/name", "v1.2")),
        ("runs/first", None),
        ("avsa-foa-iv-small", None),
    ],
)
def test_addresses_name_repositories(text, expected):
    assert repository_of(text) == expected


@pytest.mark.parametrize("text", ["hf://name", "hf://user/name/more", "hf://user/../x", "hf://user/name@"])
def test_malformed_addresses_are_errors(text):
    with pytest.raises(InputError, match="expected hf://USER/NAME"):
        Encoders.from_pretrained(text)
