# SPDX-License-Identifier: MIT
"""JWTs as the demo's auth service reads them: nothing that a token says counts before its signature does.

    claims(token, keys)   its claims, or None: no key of that `kid` in the directory KEYS has signed it

KEYS is the gateway's GW_KEYS, as tools/gateway-keys makes it: jwt-keys.map (KID ALGORITHM[:NUMBER]), jwt-secrets.map, rs256-N.pem, es256-N.pem.
"""
import base64
import hashlib
import hmac
import json
import subprocess
import tempfile


def read_rows(path):
    with open(path, encoding="utf-8") as f:
        return dict(line.split(None, 1) for line in f.read().splitlines() if line.strip() and not line.startswith("#"))


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def raw_to_der(raw):
    """An ECDSA signature as OpenSSL has it, of r and s as JWS has them (RFC 7518, 3.4)."""
    out = b""
    for half in (raw[:32], raw[32:]):
        number = half.lstrip(b"\0") or b"\0"
        number = b"\0" + number if number[0] & 0x80 else number
        out += bytes((2, len(number))) + number
    return bytes((0x30, len(out))) + out


def signed(text, signature, algorithm, kid, keys):
    if algorithm == "HS256":
        secret = read_rows(keys + "/jwt-secrets.map")[kid].strip().encode()
        return hmac.compare_digest(hmac.new(secret, text, hashlib.sha256).digest(), signature)
    public = "%s/%s.pem" % (keys, algorithm.lower().replace(":", "-"))
    with tempfile.NamedTemporaryFile() as f:
        f.write(raw_to_der(signature) if algorithm.startswith("ES256:") else signature)
        f.flush()
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", f.name], input=text, capture_output=True, check=False)
    return done.returncode == 0


def claims(token, keys):
    try:
        text, _, signature = token.rpartition(".")
        head, payload = (json.loads(decode(part)) for part in text.split("."))
        algorithm = read_rows(keys + "/jwt-keys.map")[head["kid"]].strip()
        if head["alg"] == algorithm.split(":")[0] and signed(text.encode(), decode(signature), algorithm, head["kid"], keys):
            return payload
    except (ValueError, KeyError, TypeError, OSError):
        pass
    return None
