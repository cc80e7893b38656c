# One executor's image: the runtime of this repository and one algorithm.
#
#   docker build -f executors/cpu.Dockerfile --build-arg ALGORITHM=doc-metadata -t jangada-doc-metadata .
#
# The build context is the root of the repository. Addresses and secrets come at run time
# (JANGADA_* variables, files in /var/openfaas/secrets); none is in the image.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
FROM ${PYTHON_IMAGE} AS build

ARG ALGORITHM
WORKDIR /build
COPY pyproject.toml README.md LICENSE VERSION ./
COPY jangada ./jangada
COPY executors ./executors
RUN python -m venv /opt/jangada \
    && /opt/jangada/bin/pip install --no-cache-dir ".[executors]" \
    && /opt/jangada/bin/python -m jangada.executor.image "executors/${ALGORITHM}" --stage /stage \
    && /opt/jangada/bin/pip install --no-cache-dir -r /stage/requirements.txt

FROM ${PYTHON_IMAGE}

ARG ALGORITHM
COPY --from=build /stage /opt/algorithm
RUN if [ -s /opt/algorithm/apt.txt ]; then \
        apt-get update \
        && xargs -a /opt/algorithm/apt.txt apt-get install -y --no-install-recommends \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/jangada jangada
COPY --from=build /opt/jangada /opt/jangada

ENV PATH=/opt/jangada/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    JANGADA_HOME=/var/lib/jangada \
    JANGADA_ALGORITHMS_DIR=/opt/algorithm/executors
USER 10001
WORKDIR /var/lib/jangada
LABEL org.opencontainers.image.title="jangada executor: ${ALGORITHM}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Exec form: SIGTERM reaches the executor, which hands its jobs back.
ENTRYPOINT ["python", "-m", "jangada.executor", "--no-env"]
CMD ["/opt/algorithm/main"]
