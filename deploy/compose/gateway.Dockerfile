# The gateway with the docker provider.
#
#   docker build -f deploy/compose/gateway.Dockerfile -t jangada-gateway .
#
# The build context is the root of the repository. It needs the Engine's socket and, under the same path inside and
# outside, the folder in which functions' secrets lie (JANGADA_DOCKER_SECRETS_DIR).
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

WORKDIR /opt/jangada
# The pinned packages first: they change less often than the code.
COPY requirements/gateway.txt requirements/
RUN pip install --no-cache-dir --no-compile -r requirements/gateway.txt
COPY pyproject.toml README.md LICENSE VERSION ./
COPY jangada ./jangada
RUN pip install --no-cache-dir --no-deps .

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    JANGADA_HOME=/var/lib/jangada \
    JANGADA_SECRETS_DIR=/run/secrets \
    JANGADA_PROVIDER=docker
WORKDIR /var/lib/jangada
EXPOSE 8080 8082
# Root: whoever may talk to the Engine is root on its machine anyway.
ENTRYPOINT ["python", "-m", "jangada.gateway", "--host", "0.0.0.0"]
