"""Tokens: ours alone, for 15 minutes, with keys that all replicas agree on."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jangada.errors import ConfigurationError, UnauthenticatedError
from jangada.tenants import Tokens

from .conftest import World

SCOPES = frozenset({"jobs:read", "jobs:write"})


def issue(tokens: Tokens) -> str:
    return tokens.issue(key_id="key_1", tenant_id="acme", scopes=SCOPES)


def pem_of(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_token_says_who_and_what(world: World):
    claims = world.tokens.verify(issue(world.tokens))
    assert (claims.key_id, claims.tenant_id, claims.scopes) == ("key_1", "acme", SCOPES)


def test_a_token_ends_after_fifteen_minutes(world: World):
    token = issue(world.tokens)
    world.pass_s(899)
    world.tokens.verify(token)
    world.pass_s(1)
    with pytest.raises(UnauthenticatedError, match="expired"):
        world.tokens.verify(token)


def test_anybody_can_verify_a_token_with_the_published_keys(world: World):
    token = issue(world.tokens)
    kid = jwt.get_unverified_header(token)["kid"]
    jwks = jwt.PyJWKSet.from_dict(world.tokens.jwks())
    claims = jwt.decode(
        token,
        jwks[kid].key,
        algorithms=["EdDSA"],
        audience="jangada",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["tenant"] == "acme"
    assert "d" not in world.tokens.jwks()["keys"][0]


def test_replicas_that_start_together_sign_with_one_key(world: World):
    others = [Tokens(world.store, clock=lambda: world.now) for _ in range(4)]
    token = issue(others[0])
    for other in others:
        assert other.verify(token).tenant_id == "acme"
    assert len(world.store.signing_keys()) == 1


def altered(token: str) -> dict[str, str]:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"tenant": "other"}).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"x"}').decode().rstrip("=")
    own = Ed25519PrivateKey.generate()
    kid = jwt.get_unverified_header(token)["kid"]
    return {
        "another tenant": f"{head}.{other}.{signature}",
        "no signature": f"{head}.{body}.",
        "alg none": f"{none}.{body}.",
        "own key, our kid": jwt.encode(claims, own, algorithm="EdDSA", headers={"kid": kid}),
        "own key, own kid": jwt.encode(claims, own, algorithm="EdDSA", headers={"kid": "mine"}),
        "no kid": jwt.encode(claims, own, algorithm="EdDSA"),
        "public key as HMAC secret": jwt.encode(claims, "x" * 64, algorithm="HS256", headers={"kid": kid}),
        "not a token": "a.b.c",
        "empty": "..",
    }


@pytest.mark.parametrize("kind", list(altered(issue(World().tokens))))
def test_an_altered_token_is_refused(world: World, kind: str):
    with pytest.raises(UnauthenticatedError):
        world.tokens.verify(altered(issue(world.tokens))[kind])


@pytest.mark.parametrize("claim", [{"aud": "else"}, {"iss": "else"}, {"exp": "soon"}, {"exp": 10**30}, {"scope": None}])
def test_a_signed_token_of_another_kind_is_refused(world: World, claim: dict[str, object]):
    claims = jwt.decode(issue(world.tokens), options={"verify_signature": False}) | claim
    claims = {name: value for name, value in claims.items() if value is not None}
    kept = world.store.signing_keys()[0]
    private = serialization.load_pem_private_key(kept.private_pem, None)
    parts = [{"alg": "EdDSA", "kid": kept.kid}, claims]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    signature = base64.urlsafe_b64encode(private.sign(text.encode())).decode().rstrip("=")
    with pytest.raises(UnauthenticatedError):
        world.tokens.verify(f"{text}.{signature}")


def test_after_a_rotation_old_tokens_live_to_their_end_and_new_ones_have_the_new_key(world: World, monkeypatch):
    ticks = [1000.0]
    monkeypatch.setattr("jangada.tenants.tokens.monotonic", lambda: ticks[0])
    other = Tokens(world.store, clock=lambda: world.now)
    before = issue(other)
    kid = world.tokens.rotate()
    after = issue(world.tokens)
    assert jwt.get_unverified_header(after)["kid"] == kid
    ticks[0] += 1.5
    assert other.verify(after)
    assert other.verify(before)
    assert len(world.tokens.jwks()["keys"]) == 2


def test_an_unknown_kid_does_not_make_us_read_the_store_each_time(world: World, monkeypatch):
    issue(world.tokens)
    reads = []
    real = world.store.signing_keys
    monkeypatch.setattr(world.store, "signing_keys", lambda: reads.append(1) or real())
    forged = jwt.encode({"sub": "x"}, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "unknown"})
    for _ in range(50):
        with pytest.raises(UnauthenticatedError):
            world.tokens.verify(forged)
    assert len(reads) <= 1


def test_keys_in_the_secrets_folder_are_used_and_the_last_one_signs(world: World, tmp_path):
    for name in ("jwt-signing-key-1", "jwt-signing-key-2"):
        (tmp_path / name).write_bytes(pem_of(Ed25519PrivateKey.generate()))
    tokens = Tokens(world.store, secrets_dir=tmp_path, clock=lambda: world.now)
    token = issue(tokens)
    assert tokens.verify(token)
    assert world.store.signing_keys() == []
    only_second = tmp_path / "later"
    only_second.mkdir()
    (only_second / "jwt-signing-key-2").write_bytes((tmp_path / "jwt-signing-key-2").read_bytes())
    assert Tokens(world.store, secrets_dir=only_second, clock=lambda: world.now).verify(token)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_file_that_is_no_key_is_named(world: World, tmp_path, content):
    (tmp_path / "jwt-signing-key").write_bytes(content)
    with pytest.raises(ConfigurationError, match="jwt-signing-key"):
        issue(Tokens(world.store, secrets_dir=tmp_path))


def test_a_signing_key_does_not_show_itself(world: World):
    issue(world.tokens)
    assert "PRIVATE" not in repr(world.store.signing_keys())
