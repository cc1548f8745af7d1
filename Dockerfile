# The image of the service: docs/deploy.md.
#
# It is made of two folders: the few Debian packages that Python runs on, and the virtual
# environment. What builds them stays behind.

# A Debian that has this version of Python.
ARG BASE=debian:bookworm-slim
ARG PYTHON=3.11

FROM ${BASE} AS system
ARG PYTHON
COPY deploy/system.sh /
RUN sh /system.sh /system python${PYTHON} busybox libstdc++6 netbase

FROM ${BASE} AS packages
ARG PYTHON
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils ca-certificates python${PYTHON}-venv
RUN python${PYTHON} -m venv --without-pip /opt/everturn \
    && python${PYTHON} -m venv /opt/pip
WORKDIR /source
# The locked packages first: they change less often than the code, and come out of the cache.
COPY deploy/requirements.lock deploy/
RUN /opt/pip/bin/pip --python /opt/everturn/bin/python install --no-cache-dir --no-compile \
    --no-deps --require-hashes -r deploy/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY everturn everturn
COPY checkpoints checkpoints
COPY graph graph
COPY server server
COPY tools tools
RUN /opt/pip/bin/pip --python /opt/everturn/bin/python install --no-cache-dir --no-compile \
    --no-deps --no-build-isolation . \
    && /opt/pip/bin/pip --python /opt/everturn/bin/python uninstall -y \
    editables hatchling pathspec pluggy tomlkit trove-classifiers
# pip itself, for images that are made of this one.
RUN cp /usr/share/python-wheels/pip-*.whl /opt/everturn/pip.whl \
    && printf '#!/bin/sh\nexec /opt/everturn/bin/python /opt/everturn/pip.whl/pip "$@"\n' \
    > /opt/everturn/bin/pip && chmod 0755 /opt/everturn/bin/pip
# 80 MB of the compiled code are symbols for debuggers.
RUN find /opt/everturn -type f -name '*.so*' -exec strip --strip-unneeded {} + \
    && find /opt/everturn -type f -regex '.*\.\(c\|h\|pxd\|pxi\|pyi\|pyx\)' -delete \
    && rm -r /opt/everturn/lib/python*/site-packages/Crypto/SelfTest
COPY deploy/compile.py deploy/
COPY --from=system /system /system
RUN python${PYTHON} deploy/compile.py "" /opt/everturn \
    && python${PYTHON} deploy/compile.py /system /usr/lib/python${PYTHON}

FROM scratch
COPY --from=packages /system /
COPY --from=packages /opt/everturn /opt/everturn
ENV PATH=/opt/everturn/bin:/usr/bin:/bin \
    HOME=/data \
    TMPDIR=/data \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    EVERTURN_HOST=0.0.0.0 \
    EVERTURN_PORT=2024 \
    EVERTURN_DATA_DIR=/data
# A number: a cluster that wants nobody to be root cannot look up a name.
USER 10001:10001
# Graphs of one's own: a langgraph.json here. Without one the built-in graphs are served.
WORKDIR /project
VOLUME /data
EXPOSE 2024
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["everturn", "ready"]
ENTRYPOINT ["everturn"]
CMD ["serve"]
