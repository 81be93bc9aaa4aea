# syntax=docker/dockerfile:1

# The bases are pinned by version. For builds that can be repeated byte for byte, pin by digest as well:
#   --build-arg BUILD_IMAGE=rust:1.95-bookworm@sha256:… --build-arg RUN_IMAGE=debian:bookworm-slim@sha256:…
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# What `hongyan --version` says: --build-arg HONGYAN_COMMIT=$(git rev-parse --short=12 HEAD). The repository itself is not in the context.
ARG HONGYAN_COMMIT=
# With the double of WeChat, for `hongyan dev` and tests, never for users: --build-arg FEATURES=fake-wechat -t hongyan:dev
ARG FEATURES=
RUN scripts/dist ${FEATURES:+--features "$FEATURES"} /out && mkdir -p /out/data

# The lines of a panic's backtrace: docker build --target debug --output . .
FROM scratch AS debug
COPY --from=build /out/hongyan.debug /hongyan.debug

FROM ${RUN_IMAGE}
# Everything is linked in; only the root certificates come from outside.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/hongyan /usr/local/bin/hongyan
COPY --from=build --chown=10001:10001 --chmod=0700 /out/data /data
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    HONGYAN_SERVER__LISTEN=0.0.0.0:9999 \
    HONGYAN_OPS__LISTEN=0.0.0.0:9990
# Nothing is written outside /data, so the root may be read-only: docker run --read-only.
USER 10001:10001
# The default of database.url is data/hongyan.db, from here. A variable would be in the way of HONGYAN_DATABASE__URL_FILE.
WORKDIR /
VOLUME /data
# 9990 answers health and metrics, without a password: publish it to loopback or to Prometheus, not to the world.
EXPOSE 9999 9990
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/hongyan", "healthcheck"]
# No shell between: SIGTERM reaches the server, which drains within 10 s.
ENTRYPOINT ["/usr/local/bin/hongyan"]
CMD ["serve"]
