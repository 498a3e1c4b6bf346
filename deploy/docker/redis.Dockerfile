# SPDX-License-Identifier: MIT
# Redis as primary, replica or Sentinel: redis-node says how. BASE=redis:7 takes the official image instead of Debian's package.
ARG BASE=debian:bookworm-slim
FROM $BASE
RUN command -v redis-server && command -v redis-sentinel || { apt-get update && apt-get install -y --no-install-recommends redis-server redis-sentinel && rm -rf /var/lib/apt/lists/* /var/cache/apt; }
COPY deploy/docker/redis-node deploy/docker/paced /usr/local/bin/
RUN install -d -o redis -g redis /data
USER redis
WORKDIR /data
VOLUME /data
ENTRYPOINT ["redis-node"]
CMD ["primary"]
