# SPDX-License-Identifier: MIT
# HAProxy with what this project attaches to it, as a small gateway (haproxy-conf/demo), and the balancer of deploy/compose.
# BASE=haproxy:3.0 takes the official image instead of Debian's package.
ARG BASE=debian:bookworm-slim
FROM $BASE
USER root
RUN command -v haproxy || { apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/* /var/cache/apt; }
# The agent's group, so that each can open the other's sockets.
RUN groupadd -g 1180 once && useradd -M -u 1181 -g once -d / -s /usr/sbin/nologin gateway && install -d -o gateway -g once -m 2770 /run/spoa-once
COPY docs/problems.md /usr/share/doc/spoa-once/
COPY haproxy-conf/attach/once.spoe.cfg haproxy-conf/demo/haproxy.cfg deploy/compose/balancer.cfg deploy/compose/metrics.cfg /etc/haproxy/
COPY deploy/docker/http-check deploy/docker/paced /usr/local/bin/
USER gateway
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/etc/haproxy/haproxy.cfg"]
