# The same as cpu.Dockerfile on a CUDA base: one GPU executor's image.
#
#   docker build -f executors/gpu.Dockerfile --build-arg ALGORITHM=text-embed -t jangada-text-embed-gpu .
#
# Where the algorithm has a requirements-gpu.txt (onnxruntime-gpu instead of onnxruntime, say), it takes
# the place of its requirements.txt. Run it with --gpus. Where no GPU is visible it says so at start: an algorithm that
# needs one refuses (unless JANGADA_ALLOW_CPU=1), one that can do without runs on the CPU.
ARG CUDA_IMAGE=nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
FROM ${CUDA_IMAGE} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build

ARG ALGORITHM
WORKDIR /build
COPY pyproject.toml README.md LICENSE VERSION ./
COPY jangada ./jangada
COPY executors ./executors
RUN python3 -m venv /opt/jangada \
    && /opt/jangada/bin/pip install --no-cache-dir ".[executors]" \
    && /opt/jangada/bin/python -m jangada.executor.image "executors/${ALGORITHM}" --stage /stage --gpu \
    && /opt/jangada/bin/pip install --no-cache-dir -r /stage/requirements.txt

FROM base

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
    JANGADA_ALGORITHMS_DIR=/opt/algorithm/executors \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /var/lib/jangada
LABEL org.opencontainers.image.title="jangada executor (GPU): ${ALGORITHM}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["python", "-m", "jangada.executor", "--no-env"]
CMD ["/opt/algorithm/main"]
