import subprocess
import sys

PLATFORM_ONLY = ["redis", "pymongo", "flask", "waitress", "orjson", "structlog", "aiohttp", "psutil", "jwt"]


def test_client_and_its_commands_need_none_of_the_platforms_libraries():
    program = f"""
import sys
for name in {PLATFORM_ONLY!r}:
    sys.modules[name] = None
import jangada.client, jangada.client.webhooks, jangada.cli.jobs, jangada.cli.demo
inside = [name for name in sys.modules if name.startswith("jangada.")]
print(sorted({{".".join(name.split(".")[:2]) for name in inside}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(
        ["jangada.cli", "jangada.client", "jangada.clock", "jangada.errors", "jangada.ids", "jangada.settings"]
    )
