# SPDX-License-Identifier: MIT
# The payments backend to play with. Several share one ledger: a file in /ledger.
ARG BASE=debian:bookworm-slim
FROM $BASE
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal libpython3-stdlib && rm -rf /var/lib/apt/lists/* /var/cache/apt && \
    useradd -M -u 1182 -d / -s /usr/sbin/nologin payments && install -d -o payments -m 700 /ledger
COPY deploy/demo/payments.py /usr/local/bin/
COPY deploy/docker/http-check deploy/docker/paced /usr/local/bin/
USER payments
VOLUME /ledger
ENTRYPOINT ["python3", "-u", "/usr/local/bin/payments.py"]
CMD ["0.0.0.0:8081", "/ledger/charges"]
