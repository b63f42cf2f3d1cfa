"""A page as large as real ones: a document, and the eighty assets that a browser then asks for."""

from hashlib import sha256
from random import Random

RANDOM = Random(80)
ASSETS = {f"/assets/{number}.bin": RANDOM.randbytes(RANDOM.randrange(200, 60_000)) for number in range(80)}
DIGESTS = {path: sha256(body).hexdigest() for path, body in ASSETS.items()}
DOCUMENT = "".join(f'<img src="{path}">\n' for path in ASSETS).encode()


async def app(scope, receive, send):
    """The document at /, the assets under their names."""
    assert scope["type"] == "http"
    body = DOCUMENT if scope["path"] == "/" else ASSETS.get(scope["path"])
    status = 404 if body is None else 200
    body = body or b""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
