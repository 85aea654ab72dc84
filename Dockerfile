# syntax=docker/dockerfile:1.7
# The image of every part: `thumbwheel` and what it needs, from the pinned and hashed requirements.
#   docker build -t thumbwheel:0.1.0 .                        for machines without a GPU
#   docker build -t thumbwheel:0.1.0-cuda --build-arg TORCH=cuda .
FROM python:3.11.14-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG TORCH=cpu
WORKDIR /src
COPY requirements/uv.txt requirements/
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.txt \
    && /opt/uv/bin/uv venv --no-cache /opt/thumbwheel
COPY requirements/image.txt requirements/without-cuda.awk requirements/
# torch's builds for the processor alone come from an index of its own, where they have other hashes than the pinned
# ones; all else is checked by hash in both cases.
RUN <<END
set -e
install() { /opt/uv/bin/uv pip "$1" --no-cache --quiet --compile-bytecode --python /opt/thumbwheel "${@:2}"; }
case "$TORCH" in
cuda) install sync --require-hashes requirements/image.txt ;;
cpu)
    awk -f requirements/without-cuda.awk requirements/image.txt > rest.txt
    install sync --require-hashes rest.txt
    install install --no-deps --torch-backend cpu "$(grep -o '^torch==[0-9.]*' requirements/image.txt)"
    ;;
*) echo "TORCH is cpu or cuda, not $TORCH" >&2; exit 1 ;;
esac
END
COPY requirements/dev.txt requirements/
COPY pyproject.toml README.md LICENSE ./
COPY protos protos
COPY services services
COPY pipeline pipeline
RUN /opt/uv/bin/uv build --no-cache --quiet --wheel --build-constraints requirements/dev.txt --require-hashes --out-dir dist \
    && /opt/uv/bin/uv pip install --no-cache --quiet --compile-bytecode --no-deps --python /opt/thumbwheel dist/*.whl

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Thumbwheel" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed here any more, so what would install goes.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && groupadd --gid 10001 thumbwheel \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin thumbwheel \
    && install -d -m 700 -o 10001 -g 10001 /var/lib/thumbwheel
COPY --from=build /opt/thumbwheel /opt/thumbwheel
# The root can be read only: whatever writes beside the home writes into /tmp.
ENV PATH=/opt/thumbwheel/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    THUMBWHEEL_HOME=/var/lib/thumbwheel
USER 10001:10001
WORKDIR /tmp
EXPOSE 7070 7071 7072 7073 7074 7075 7076
ENTRYPOINT ["thumbwheel"]
CMD ["--help"]
