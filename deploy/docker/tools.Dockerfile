# SPDX-License-Identifier: MIT
# Toxiproxy, and vegeta to be copied out: built from the Go module proxy, in the versions of tests/tools/go.mod. Debian 12 has an
# older Go; the one of its backports fetches the toolchain that go.mod names from the same proxy. deploy/docker/images puts this
# machine's authorities into tests/tools/ca.crt: where TLS is re-signed on the way, the image's own would not do.
ARG BASE=debian:bookworm-slim
FROM $BASE AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && \
    echo 'deb http://deb.debian.org/debian bookworm-backports main' >/etc/apt/sources.list.d/backports.list && \
    apt-get update && apt-get install -y --no-install-recommends -t bookworm-backports golang-go
COPY tests/tools /src
WORKDIR /src
ENV GOTOOLCHAIN=auto CGO_ENABLED=0 GOFLAGS=-trimpath
RUN [ ! -e ca.crt ] || export SSL_CERT_FILE=/src/ca.crt; \
    go build -ldflags '-s -w' -o /out/toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server && \
    go build -ldflags '-s -w' -o /out/vegeta github.com/tsenart/vegeta/v12

FROM scratch
COPY --from=build /out /
COPY deploy/compose/toxiproxy.json /
USER 1183:1183
ENTRYPOINT ["/toxiproxy"]
CMD ["-host", "0.0.0.0", "-config", "/toxiproxy.json"]
