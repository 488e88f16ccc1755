# falcon in an image of its own: `make image`. The same sources give the same binary as `make build` (tests/install).
#
# The builder may be any Debian 12 with this Go; tests import theirs. Debian keeps the newest build of clang 19 only: when it has another,
# set CLANG to it, and see that `make check-generated` still finds the same programs.
ARG BUILDER=golang:1.26.8-bookworm

FROM ${BUILDER} AS build
ARG CLANG=1:19.1.7-3~deb12u1
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install --yes --no-install-recommends "clang-19=$CLANG" "llvm-19=$CLANG" libbpf-dev linux-libc-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The programs are compiled anew, and must be those that are checked in.
RUN find . -name '*_bpfel.o' | sort | xargs sha256sum >/tmp/checked-in && make generate && sha256sum --check --quiet /tmp/checked-in
ARG VERSION=dev
ARG COMMIT=unknown
RUN make build sbom VERSION="$VERSION" COMMIT="$COMMIT" SBOM=/out/usr/share/doc/falcon/sbom.cdx.json \
 && packaging/licences /out/usr/share/doc/falcon \
 && install -D -m 755 bin/falcon /out/falcon

FROM scratch
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="falcon" \
      org.opencontainers.image.description="Docker network driver that makes an overlay network as fast as the bare host" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /out/ /
ENTRYPOINT ["/falcon"]
CMD ["serve"]
