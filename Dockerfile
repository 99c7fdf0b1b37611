# The node as an image: one binary on a slim Debian, as a user that is nobody. No ADD of anything from a network; cargo
# fetches the locked crates unless they lie in `vendor/` (make it with `cargo vendor --locked`, see docs/operations/deploy.md),
# and no build script downloads. The base images are the only other thing that comes from outside; pin them by digest in
# production.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# TLS to a database over the network is a feature: libpq is then compiled with OpenSSL, from vendored source too.
ARG FEATURES=postgres-tls
RUN if [ -d vendor ]; then \
        mkdir -p .cargo && printf '%s\n' '[source.crates-io]' 'replace-with = "vendored-sources"' \
            '[source.vendored-sources]' 'directory = "vendor"' '[net]' 'offline = true' > .cargo/config.toml; \
    fi \
    && cargo build --release --locked --package wallet-api --bin tessera --features "${FEATURES}"

FROM ${BASE_IMAGE}
COPY --from=build /src/target/release/tessera /usr/local/bin/tessera
# For the file of known heads: a volume made here belongs to the node.
RUN install -d -m 0700 -o 10001 -g 10001 /heads
# Certificates of public authorities and time zones are compiled in; the binary needs the C library and nothing else.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
# Requests in hand get 15 s; then followers, hooks and the lease end in order.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/tessera"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
