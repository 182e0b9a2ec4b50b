# Flows in: the manifests, the lock file, src, simulator, and the documents that the program serves. Flows out: an image
# with the program, the libraries that it links, the certificate authorities and nothing else: no shell, no package
# manager, no user but the number it runs as.
FROM docker.io/library/rust:1-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "errexit", "-o", "pipefail", "-c"]
WORKDIR /src

# The dependencies alone: this layer is built again only when the manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY simulator/Cargo.toml simulator/
COPY fuzz/Cargo.toml fuzz/
RUN mkdir -p src tests/it simulator/src fuzz/src \
 && echo 'fn main() {}' > src/main.rs \
 && cp src/main.rs build.rs \
 && cp src/main.rs fuzz/src/main.rs \
 && cp src/main.rs tests/it/main.rs \
 && touch src/lib.rs simulator/src/lib.rs \
 && cargo build --release --locked --bin wallet-exporter

COPY README.md build.rs ./
COPY deploy/prometheus/runbooks.md deploy/prometheus/
COPY docs docs
COPY simulator simulator
COPY src src
ARG GIT_REVISION=""
# touch: the copied files keep their dates, and cargo would take an older file for one that it has built already.
RUN find build.rs simulator src -name '*.rs' -exec touch {} + \
 && GIT_REVISION="$GIT_REVISION" cargo build --release --locked --bin wallet-exporter

# The root of the image: the libraries by their own paths, whatever the architecture calls them. Host names are looked
# up in /etc/hosts and then by DNS, as glibc does without further modules.
COPY LICENSE ./
RUN install -D target/release/wallet-exporter /image/usr/local/bin/wallet-exporter \
 && ldd target/release/wallet-exporter | grep --only-matching '/[^ ]*' | xargs cp --dereference --parents --target-directory=/image \
 && install -D --mode=0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
 && install -D --mode=0644 LICENSE /image/usr/share/licenses/wallet-exporter/LICENSE \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && install --directory --owner=65532 --group=65532 --mode=0700 /image/data \
 && install --directory --owner=65532 --group=65532 --mode=0755 /image/history

FROM scratch
COPY --from=build /image /
# SQLITE_TMPDIR: a large sort may want a temporary file, and the root is meant to be mounted read-only.
# MALLOC_* are glibc's: two heaps do for six threads that hardly allocate, and large blocks are given back after use.
ENV WEB_LISTEN_ADDRESS=:10700 \
    WEBHOOK_LISTEN_ADDRESS=:10701 \
    STORAGE_PATH=/data \
    SQLITE_TMPDIR=/data \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=65536 \
    MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
VOLUME ["/data"]
EXPOSE 10700 10701
ARG GIT_REVISION=""
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="wallet-exporter" \
      org.opencontainers.image.description="Prometheus exporter for prepaid data-API wallets" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$GIT_REVISION"
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/usr/local/bin/wallet-exporter", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/wallet-exporter"]
