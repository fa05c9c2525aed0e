# The operator's image: a virtual environment on a small Python, run as nobody in particular.
#
# BASE is any image with python3 (3.11 or newer) and its venv module. Pin it by digest where you build for others:
#   docker build --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:… .
# `make image BASE=debian` makes one from Debian's packages where no registry is to be had.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY pyproject.toml requirements.lock local/release/lock.py ./
# Two environments: one with pip and hatchling that stays behind, one without either that is shipped.
# Both secrets are optional: how pip reaches your index, and the certificates it trusts.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python3 lock.py requirements.lock pyproject.toml > runtime.txt \
 && python3 lock.py requirements.lock hatchling > tools.txt \
 && python3 -m venv tools \
 && python3 -m venv --without-pip /opt/modelrollout \
 && tools/bin/pip install --quiet --require-hashes --only-binary :all: -r tools.txt \
 && tools/bin/pip --python /opt/modelrollout install --quiet --require-hashes --only-binary :all: --no-compile -r runtime.txt
COPY README.md LICENSE ./
COPY operator operator
# Byte code that does not hold its source's time: the same sources give the same files. The Kubernetes client's classes for
# each kind get none: the operator loads not one of them, and it would be 50 MB.
RUN tools/bin/python -m hatchling build -t wheel -d wheel \
 && tools/bin/pip --python /opt/modelrollout install --quiet --no-index --no-deps --no-compile wheel/*.whl \
 && /opt/modelrollout/bin/python -m compileall -q --invalidation-mode unchecked-hash \
      -x '/kubernetes/(aio/)?client/(api|models)/[a-z]' /opt/modelrollout/lib \
 && /opt/modelrollout/bin/python -m modelrollout --version

FROM ${BASE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Model Rollout Operator" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/modelrollout /opt/modelrollout
# Nothing is written outside /tmp, so that the root file system may be read-only. The user is in no passwd file:
# without these two the Kubernetes client does not load for want of a home, and kopf does not start for want of a name.
ENV PATH=/opt/modelrollout/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    USER=modelrollout \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root's.
USER 65532:65532
WORKDIR /
EXPOSE 8080
# Exec form: the operator is PID 1 and gets SIGTERM itself.
ENTRYPOINT ["python", "-m", "modelrollout"]
