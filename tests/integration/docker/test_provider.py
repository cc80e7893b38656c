"""The docker provider on a real Engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import pytest

from jangada.gateway.errors import DeployRefusedError
from jangada.gateway.provider_docker import DockerProvider
from jangada.gateway.provider_docker_engine import Engine
from jangada.gateway.provider_docker_spec import DockerOptions
from tests.docker_engine import docker
from tests.integration.docker.conftest import IMAGE, deployment, facts_of, get

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
KEY = ("fn", "openfaas-fn")


def run(story):
    return asyncio.run(story())


async def until(condition, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def answer(provider, path: str = "/") -> str:
    return await asyncio.to_thread(get, provider.replicas(*KEY)[0].address, path)


def test_a_function_answers_and_is_started_as_deployed(open_provider, secrets):
    secrets["openfaas-fn", "api-key"] = b"value\n"

    async def story():
        async with open_provider() as provider:
            wanted = deployment(
                env_vars={"OVERRIDDEN": "deployed"},
                env_process="python3 x.py",
                secrets=("api-key",),
                limits={"memory": "64Mi", "cpu": "500m"},
                labels={"team": "a"},
                read_only_root_filesystem=True,
            )
            await provider.check(wanted)
            await provider.apply(wanted, 1)
            assert await provider.wait_ready(*KEY, 20)
            found = facts_of(provider.replicas(*KEY)[0].address)
            container = docker(
                "ps", "-q", "--no-trunc", "--filter", f"label=io.jangada.gateway={provider._engine.options.owner}"
            )
            inspected = docker("inspect", "--format", "{{json .HostConfig}}", container)
            labels = docker("inspect", "--format", "{{json .Config.Labels}}", container)
        return found, inspected, labels

    found, inspected, labels = run(story)
    assert found["env"]["FROM_IMAGE"] == "image"
    assert found["env"]["OVERRIDDEN"] == "deployed"
    assert found["env"]["fprocess"] == "python3 x.py"
    assert found["env"]["OPENFAAS_NAME"] == "fn"
    assert found["env"]["OPENFAAS_NAMESPACE"] == "openfaas-fn"
    assert found["secrets"] == {"api-key": "value\n"}
    assert found["uid"] == 1000
    assert int(found["capabilities"], 16) == 0
    assert found["no_new_privileges"] == "1"
    assert found["writes"] == {"/tmp/x": True, "/var/tmp/x": False, "/var/openfaas/secrets/x": False}
    assert '"Memory":67108864' in inspected
    assert '"NanoCpus":500000000' in inspected
    assert '"team":"a"' in labels


def test_from_zero_to_an_answer_in_a_second(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 0)
            begun = time.monotonic()
            await provider.scale(*KEY, 1)
            assert await provider.wait_ready(*KEY, 20)
            await answer(provider)
            took = time.monotonic() - begun
            # Back to none, and up again while the first one still drains.
            await provider.scale(*KEY, 0)
            assert provider.replicas(*KEY) == []
            await provider.scale(*KEY, 1)
            assert await provider.wait_ready(*KEY, 20)
            await answer(provider)
            return took

    took = run(story)
    print(f"cold start: {took:.2f} s")
    assert took < 4  # a second on a quiet machine; the benchmark measures


def test_scaling_up_and_down(open_provider, owner):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 3)
            await until(lambda: len(provider.replicas(*KEY)) == 3)
            names = {await asyncio.to_thread(get, one.address) for one in provider.replicas(*KEY)}
            assert len(names) == 3
            assert provider.status(*KEY).available == 3
            await provider.scale(*KEY, 1)
            await until(lambda: len(provider.replicas(*KEY)) == 1)
            await until(lambda: len(containers(owner)) == 1)

    run(story)


def containers(owner: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label=io.jangada.gateway={owner}").split()


def test_an_update_fails_no_request(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 2)
            await until(lambda: len(provider.replicas(*KEY)) == 2)
            failed, answered, ended = [], [], asyncio.Event()

            async def call(number: int) -> None:
                while not ended.is_set():
                    replicas = provider.replicas(*KEY)
                    replica = replicas[number % len(replicas)]
                    replica.in_flight += 1
                    try:
                        answered.append(await asyncio.to_thread(get, replica.address, "/?sleep=0.05"))
                    except OSError as error:
                        failed.append(error)
                    finally:
                        replica.in_flight -= 1

            callers = [asyncio.create_task(call(number)) for number in range(6)]
            await asyncio.sleep(0.5)
            before = {one.instance for one in provider.replicas(*KEY)}
            await provider.apply(deployment(2, env_vars={"A": "new"}), 2)
            await until(lambda: len(now := {one.instance for one in provider.replicas(*KEY)}) == 2 and not now & before)
            await asyncio.sleep(0.5)
            ended.set()
            await asyncio.gather(*callers)
            return failed, answered, facts_of(provider.replicas(*KEY)[0].address)

    failed, answered, facts = run(story)
    assert not failed
    assert len(set(answered)) == 4
    assert facts["env"]["A"] == "new"


def test_a_new_generation_that_never_works_leaves_the_old_one(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 1)
            assert await provider.wait_ready(*KEY, 20)
            old = await answer(provider)
            await provider.apply(deployment(2, env_vars={"EXITS": "1"}), 1)
            await until(lambda: provider.status(*KEY).restarts >= 2)
            assert await answer(provider) == old
            texts = [message.text async for message in provider.logs(*KEY)]
            assert "cannot go on" in texts

    run(story)


def test_a_crash_is_restarted_and_told(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 1)
            assert await provider.wait_ready(*KEY, 20)
            first = await answer(provider)
            replica = provider.replicas(*KEY)[0]
            with contextlib.suppress(OSError):
                await asyncio.to_thread(get, replica.address, "/exit?status=7")
            provider.suspect(replica)
            await until(lambda: provider.replicas(*KEY) and provider.replicas(*KEY)[0] is not replica)
            assert await answer(provider) != first
            assert provider.status(*KEY).restarts == 1

    run(story)


def test_functions_outlive_the_gateway_and_are_found_again(open_provider, owner):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 1)
            assert await provider.wait_ready(*KEY, 20)
            first = await answer(provider)
        async with open_provider() as provider:
            # Found before anybody has said what is deployed.
            assert await provider.wait_ready(*KEY, 5)
            assert await answer(provider) == first
            await provider.apply(deployment(), 1)
            await asyncio.sleep(2.5)
            assert len(containers(owner)) == 1
            assert await answer(provider) == first
            await provider.remove(*KEY)
            assert provider.replicas(*KEY) == () or await gone(provider)
            await until(lambda: not containers(owner))

    run(story)


async def gone(provider) -> bool:
    await until(lambda: not provider.replicas(*KEY))
    return True


def test_two_gateways_of_one_platform_agree(open_provider, owner):
    async def story():
        async with open_provider() as one, open_provider() as other:
            await asyncio.gather(one.apply(deployment(), 2), other.apply(deployment(), 2))
            await until(lambda: len(one.replicas(*KEY)) == len(other.replicas(*KEY)) == 2)
            await asyncio.sleep(2.5)
            assert len(containers(owner)) == 2

    run(story)


def test_logs_are_kept_cut_and_followed(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 1)
            assert await provider.wait_ready(*KEY, 20)
            for word in ("one", "two", "three"):
                await answer(provider, f"/say?text={word}")
            await asyncio.sleep(0.3)
            everything = [message.text async for message in provider.logs(*KEY)]
            last = [message.text async for message in provider.logs(*KEY, tail=2)]
            none = [message async for message in provider.logs(*KEY, since=datetime.now(UTC))]
            other = [message async for message in provider.logs(*KEY, instance="ffffffffffff")]
            followed: list[str] = []

            async def follow() -> None:
                async for message in provider.logs(*KEY, tail=1, follow=True):
                    followed.append(message.text)  # noqa: PERF401 - as they come

            following = asyncio.create_task(follow())
            await until(lambda: followed == ["three"])
            await answer(provider, "/say?text=four")
            await until(lambda: followed == ["three", "four"])
            # A new replica's lines come too.
            await provider.apply(deployment(2), 1)
            await until(lambda: followed[-1:] == ["serving"])
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await asyncio.sleep(1)
            kept = [message.text async for message in provider.logs(*KEY)]
            return everything, last, none, other, kept

    everything, last, none, other, kept = run(story)
    assert everything == ["serving", "one", "two", "three"]
    assert last == ["two", "three"]
    assert none == []
    assert other == []
    assert kept == [*everything, "four", "serving"] or kept == [*everything, "serving", "four"]


def test_usage_is_told(open_provider):
    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(), 2)
            await until(lambda: len(provider.replicas(*KEY)) == 2)
            usage = await provider.usage(*KEY)
            assert usage.memory_bytes > 5_000_000
            assert usage.cpu_millicores >= 0
            assert (await provider.usage("other", "openfaas-fn")).memory_bytes == 0

    run(story)


def test_what_cannot_run_is_refused(open_provider):
    async def story():
        async with open_provider() as provider:
            with pytest.raises(DeployRefusedError, match="cannot be pulled"):
                await provider.check(deployment(image="localhost:1/no/such:image"))
            with pytest.raises(DeployRefusedError, match="128Mi"):
                await provider.check(deployment(limits={"memory": "lots"}))
            await provider.check(deployment(image=IMAGE, limits={"memory": "1"}))

    run(story)


def test_a_runtime_the_engine_does_not_know_is_told(open_provider):
    async def story():
        async with open_provider(runtime="no-such-runtime") as provider:
            await provider.apply(deployment(), 1)
            await until(lambda: "no-such-runtime" in provider.status(*KEY).note)

    run(story)


def test_an_update_of_a_secret_reaches_new_replicas(open_provider, secrets):
    secrets["openfaas-fn", "key"] = b"old"

    async def story():
        async with open_provider() as provider:
            await provider.apply(deployment(secrets=("key",)), 1)
            assert await provider.wait_ready(*KEY, 20)
            secrets["openfaas-fn", "key"] = b"new"
            await provider.scale(*KEY, 2)
            await until(lambda: len(provider.replicas(*KEY)) == 2)
            return [facts_of(one.address)["secrets"]["key"] for one in provider.replicas(*KEY)]

    assert run(story) == ["new", "new"]


def test_no_engine_is_told(owner, tmp_path):
    provider = DockerProvider(Engine(DockerOptions(secrets_dir=tmp_path, owner=owner), "tcp://127.0.0.1:1"), no_secret)

    async def story():
        with pytest.raises(DeployRefusedError, match="no Docker Engine"):
            await provider.start()
        await provider.stop()

    run(story)


async def no_secret(namespace: str, name: str) -> None:
    return None
