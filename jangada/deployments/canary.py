"""Which version of a deployment a job goes to. Pure."""

from __future__ import annotations

from hashlib import blake2b

from jangada.deployments.deployment import Deployment, Lane


def lane_for(deployment: Deployment, key: str) -> Lane:
    """
    The canary's lane for its share of all keys, else the stable one.

    The same *key* goes to the same lane for as long as the canary's version and share
    stay; a bigger share takes in more keys and lets none go.
    """
    canary = deployment.canary
    if canary is None or canary.share <= 0:
        return deployment.stable
    digest = blake2b(f"{deployment.name} {canary.algorithm_version} {key}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    return deployment.lanes[1] if place < canary.share else deployment.stable
