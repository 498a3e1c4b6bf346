# SPDX-License-Identifier: MIT
# HAProxy and the agent in one image, set by PORT, REDIS_URL and BACKEND_URL (deploy/docker/together). AGENT is the image that
# deploy/docker/Dockerfile has made.
ARG AGENT=spoa-once
FROM $AGENT
USER root
RUN apt-get update && apt-get install -y --no-install-recommends haproxy ca-certificates && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY docs/problems.md /usr/share/doc/spoa-once/
COPY haproxy-conf/attach/once.spoe.cfg haproxy-conf/demo/haproxy.cfg deploy/docker/resolve.cfg /etc/haproxy/
COPY haproxy-conf/redis-tls/haproxy.cfg /etc/haproxy/redis-tls.cfg
COPY haproxy-conf/demo/spoa-once.conf /etc/spoa-once/
COPY deploy/docker/together /usr/local/bin/
USER spoa-once
ENV PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["together", "healthy"]
ENTRYPOINT ["together"]
CMD []
