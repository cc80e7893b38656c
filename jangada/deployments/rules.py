"""What a deployment's fields must be to each other. Pure; what each may be by itself, the request's model says."""

from __future__ import annotations

from jangada.deployments.deployment import Deployment, Mode
from jangada.deployments.warm import cron_problem
from jangada.errors import FieldError, InvalidRequestError


def check(deployment: Deployment) -> None:
    """Raise `InvalidRequestError` with a pointer for each field that does not fit the others."""
    wrong = [*_scaling(deployment), *_windows(deployment), *_rest(deployment)]
    if wrong:
        first = wrong[0]
        raise InvalidRequestError(f"{first.pointer[1:].replace('/', '.')}: {first.detail}", errors=wrong)


def _scaling(deployment: Deployment) -> list[FieldError]:
    scaling = deployment.scaling
    wrong = []
    if scaling.minimum > scaling.maximum:
        wrong.append(FieldError("/scaling/min", f"expected at most scaling.max, {scaling.maximum}"))
    if deployment.mode is Mode.ONLINE and scaling.minimum < 1:
        wrong.append(FieldError("/scaling/min", "expected at least 1 with mode online"))
    if scaling.buffer and scaling.buffer >= scaling.maximum:
        wrong.append(FieldError("/scaling/buffer", f"expected less than scaling.max, {scaling.maximum}"))
    return wrong


def _windows(deployment: Deployment) -> list[FieldError]:
    wrong = []
    for at, window in enumerate(deployment.warm):
        if problem := cron_problem(window):
            wrong.append(FieldError(f"/warm/{at}/{problem[0]}", problem[1]))
        if window.replicas > deployment.scaling.maximum:
            detail = f"expected at most scaling.max, {deployment.scaling.maximum}"
            wrong.append(FieldError(f"/warm/{at}/replicas", detail))
    return wrong


def _rest(deployment: Deployment) -> list[FieldError]:
    wrong = []
    batching, canary = deployment.batching, deployment.canary
    if batching is not None and batching.max_wait_ms and batching.max_batch < 2:
        wrong.append(
            FieldError("/batching/max_wait_ms", "expected 0 where max_batch is 1: there is nothing to wait for")
        )
    if deployment.is_default and deployment.tenant_id is None:
        wrong.append(FieldError("/default", "expected false for a shared one: the one of the algorithm's name is it"))
    if canary is not None and canary.share > 0 and deployment.algorithm_version is None:
        detail = "expected a version beside a canary: the canary is compared with it"
        wrong.append(FieldError("/algorithm_version", detail))
    if canary is not None and canary.share > 0 and canary.algorithm_version == deployment.algorithm_version:
        wrong.append(FieldError("/canary/algorithm_version", "expected another version than the deployment's own"))
    return wrong
