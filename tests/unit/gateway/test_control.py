"""What is deployed: the state first, then the provider; and what happens when the store is away or shared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from jangada.errors import StoreUnavailableError
from jangada.gateway.accounting import Accounting
from jangada.gateway.autoscaler import Autoscaler
from jangada.gateway.control import Control
from jangada.gateway.deployment import FunctionDeployment
from jangada.gateway.errors import DeployRefusedError, UnknownFunctionError
from jangada.gateway.provider import Replica
from jangada.gateway.state_memory import MemoryState
from tests.fixed_provider import FixedProvider, function

KEY = ("echo", "openfaas-fn")
HELLO = FunctionDeployment("hello", "me/hello:1")


class FragileState(MemoryState):
    """A store that can be away."""

    is_away = False

    def __getattribute__(self, name):
        if name in {"version", "deployments", "put", "set_replicas", "share"} and object.__getattribute__(
            self, "is_away"
        ):
            return self._away
        return object.__getattribute__(self, name)

    async def _away(self, *_):
        raise StoreUnavailableError("away")


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def told(story: Callable[..., Awaitable[None]], *, stack=(), state=None, **options) -> None:
    """Run *story* with a provider, a state and a control that has started."""

    async def telling():
        provider = FixedProvider(stack, [])
        store = state if state is not None else FragileState()
        control = Control(store, provider, stack=stack, poll_s=0.01, **options)
        await control.start()
        try:
            await story(control, provider, store)
        finally:
            await control.stop()

    asyncio.run(telling())


def test_the_stack_is_deployed_once_and_not_again_when_its_generation_is_known():
    async def story(control, provider, state):
        await eventually(lambda: control.is_loaded)
        await asyncio.sleep(0.05)
        assert [one.deployment.generation for one in control.all()] == [1]
        assert len(provider.applied) == 1

    told(story, stack=[function()])


def test_the_stack_runs_although_the_store_is_away_and_is_stored_later():
    state = FragileState()
    state.is_away = True

    async def story(control, provider, _):
        await eventually(lambda: provider.wished)
        assert control.get(*KEY) is not None
        assert not control.is_loaded
        state.is_away = False
        await eventually(lambda: control.is_loaded)
        # The same, now with its number: the provider replaces nothing.
        assert [one.generation for one, _ in provider.applied] == [0, 1]
        assert provider.applied[0][0].to_json() == provider.applied[1][0].to_json()
        assert [one.deployment.service for one in await state.deployments()] == ["echo"]

    told(story, stack=[function()], state=state)


def test_a_lookup_just_after_the_start_waits_for_the_state():
    state = FragileState()
    state.is_away = True

    async def story(control, provider, _):
        await MemoryState.put(state, HELLO, 1)
        looking = asyncio.create_task(control.lookup("hello", "openfaas-fn"))
        await asyncio.sleep(0.03)
        assert not looking.done()
        state.is_away = False
        assert (await looking).image == "me/hello:1"

    told(story, state=state)


def test_a_public_path_just_after_the_start_waits_for_the_state():
    state = FragileState()
    state.is_away = True

    async def story(control, provider, _):
        await MemoryState.put(state, replace(HELLO, annotations={"jangada.io/routes": "greetings"}), 1)
        looking = asyncio.create_task(control.find_owner("/v1/greetings/1"))
        await asyncio.sleep(0.03)
        assert not looking.done()
        state.is_away = False
        assert (await looking).service == "hello"
        assert await control.find_owner("/v1/nothing") is None

    told(story, state=state)


def test_what_another_gateway_changes_is_followed():
    state = FragileState()

    async def story(control, provider, _):
        await eventually(lambda: control.is_loaded)
        await state.put(HELLO, 2)
        await eventually(lambda: provider.wished.get(HELLO.key) == 2)
        await state.set_replicas(*HELLO.key, 0)
        await eventually(lambda: provider.wished.get(HELLO.key) == 0)
        await state.remove(*HELLO.key)
        await eventually(lambda: provider.removed == [HELLO.key])
        assert control.get(*HELLO.key) is None

    told(story, state=state)


def test_a_store_that_is_away_stops_no_function_and_takes_no_deployment():
    async def story(control, provider, state):
        await control.deploy(HELLO)
        state.is_away = True
        with pytest.raises(StoreUnavailableError):
            await control.deploy(FunctionDeployment("hello", "me/hello:2"))
        await asyncio.sleep(0.05)
        assert control.get(*HELLO.key).deployment.image == "me/hello:1"
        assert provider.removed == []

    told(story)


def test_a_function_is_woken_also_while_the_store_is_away():
    async def story(control, provider, state):
        await control.deploy(HELLO)
        await control.scale(*HELLO.key, 0)
        state.is_away = True
        await asyncio.gather(*(control.wake(*HELLO.key) for _ in range(10)))
        assert provider.wished[HELLO.key] == 1

    told(story)


def test_every_deploy_is_a_new_generation_also_of_the_same_thing():
    async def story(control, provider, _):
        await control.deploy(HELLO)
        await control.deploy(HELLO)
        assert [deployment.generation for deployment, _ in provider.applied] == [1, 2]

    told(story)


def test_an_update_keeps_the_replicas_and_brings_a_function_back_from_zero():
    async def story(control, provider, _):
        await control.deploy(HELLO)
        await control.scale(*HELLO.key, 4)
        await control.update(HELLO)
        assert provider.wished[HELLO.key] == 4
        await control.scale(*HELLO.key, 0)
        await control.update(HELLO)
        assert provider.wished[HELLO.key] == 1

    told(story)


def test_an_unknown_function_cannot_be_updated_scaled_or_removed():
    async def story(control, provider, _):
        for call in (control.update(HELLO), control.scale(*HELLO.key, 1), control.remove(*HELLO.key)):
            with pytest.raises(UnknownFunctionError):
                await call
        assert provider.applied == []

    told(story)


def test_a_secret_may_lie_as_a_file_for_functions_of_the_stack_alone(tmp_path):
    (tmp_path / "basic-auth-password").write_text("x")
    ours = function(secrets=("basic-auth-password",))

    async def story(control, provider, _):
        await control.update(ours)
        with pytest.raises(DeployRefusedError, match="unable to find secret: basic-auth-password"):
            await control.deploy(FunctionDeployment("thief", "x", secrets=("basic-auth-password",)))

    told(story, stack=[ours], secrets_dir=tmp_path)


def test_the_longest_claimed_route_wins():
    stack = [function("a", "jobs"), function("b", "/v1,/problems")]

    async def story(control, provider, _):
        assert control.owner("/v1/jobs/1").service == "a"
        assert control.owner("/problems/x/y").service == "b"
        assert control.owner("/v1/jobsandmore").service == "b"
        assert control.owner("/") is None

    told(story, stack=stack)


def test_what_lies_under_any_name_may_be_anothers():
    stack = [function("a", "jobs,deployments/*/jobs"), function("b", "deployments")]

    async def story(control, provider, _):
        assert control.owner("/v1/deployments/ocr/jobs").service == "a"
        assert control.owner("/v1/deployments/ocr/jobs/more/of/it").service == "a"
        assert control.owner("/v1/deployments/ocr/rollback").service == "b"
        assert control.owner("/v1/deployments/ocr").service == "b"
        assert control.owner("/v1/deployments").service == "b"
        assert control.owner("/v1/other/ocr/jobs") is None

    told(story, stack=stack)


def test_the_autoscaler_steps_up_under_load_and_down_after_it():
    async def story(control, provider, _):
        await control.deploy(HELLO)
        accounting = Accounting()
        scaler = Autoscaler(control, provider, accounting)
        seen = []
        for second in range(40):
            for _ in range(6 if second < 20 else 0):
                accounting.end(accounting.begin(HELLO.qualified_name), 200, 0.01)
            await scaler.look(1000.0 + second)
            seen.append(control.get(*HELLO.key).replicas)
        assert max(seen) == 2
        assert seen[:10] == [1] * 10
        assert seen[-1] == 1

    told(story)


def test_the_autoscaler_puts_an_idle_function_to_sleep_and_leaves_a_busy_one():
    labels = {"com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "2s"}

    async def story(control, provider, _):
        accounting = Accounting()
        scaler = Autoscaler(control, provider, accounting)
        for name in ("idle", "busy"):
            await control.deploy(FunctionDeployment(name, "x", labels=labels))
        accounting.begin("busy.openfaas-fn")
        for second in range(5):
            await scaler.look(1_000_000.0 + second)
        # What is still starting is not idle.
        assert provider.wished == {("idle", "openfaas-fn"): 1, ("busy", "openfaas-fn"): 1}
        provider.replicas_there = [Replica("idle", "a"), Replica("busy", "b")]
        for second in range(5, 10):
            await scaler.look(1_000_000.0 + second)
        assert provider.wished == {("idle", "openfaas-fn"): 0, ("busy", "openfaas-fn"): 1}

    told(story)


def test_of_two_gateways_on_one_store_one_decides_with_the_load_of_both():
    state = MemoryState()

    async def story(control, provider, _):
        other = Control(state, FixedProvider([], []), poll_s=0.01)
        await other.start()
        await control.deploy(HELLO)
        await eventually(lambda: other.get(*HELLO.key))
        accounts = Accounting(), Accounting()
        scalers = [
            Autoscaler(control, provider, accounts[0]), Autoscaler(other, FixedProvider([], []), accounts[1])
        ]  # fmt: skip
        replicas = []
        for second in range(16):
            # Each sees 4 in a second, which alone would be no reason for another replica.
            for account in accounts:
                for _ in range(4):
                    account.end(account.begin(HELLO.qualified_name), 200, 0.01)
            for scaler in scalers:
                await scaler.look(1000.0 + second)
            replicas.append((await state.deployments())[0].replicas)
        await other.stop()
        return replicas

    told(lambda *given: _check(story(*given)), state=state)


async def _check(story):
    replicas = await story
    assert replicas[0] == 1
    assert replicas[-1] == 2, replicas


def test_while_the_store_is_away_nothing_is_scaled():
    state = FragileState()

    async def story(control, provider, _):
        accounting = Accounting()
        scaler = Autoscaler(control, provider, accounting)
        await control.deploy(FunctionDeployment("idle", "x", labels={"com.openfaas.scale.zero": "true"}))
        state.is_away = True
        for second in range(3):
            await scaler.look(10_000.0 * second)
        assert provider.wished == {("idle", "openfaas-fn"): 1}

    told(story, state=state)


def test_a_secret_that_stays_what_it_was_replaces_nobody():
    async def story(control, provider, state):
        await control.create_secret("openfaas-fn", "key", b"first")
        await control.deploy(replace(HELLO, secrets=("key",)))

        def generation() -> int:
            return next(one.deployment.generation for one in control.all())

        before = generation()
        await control.update_secret("openfaas-fn", "key", b"first")
        assert generation() == before
        await control.update_secret("openfaas-fn", "key", b"second")
        assert generation() == before + 1

    told(story)
