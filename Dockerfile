# The service alone: one static Swift binary on Debian slim with libpq. The lab, which can stop databases, has an image
# of its own: --target lab.
FROM swift:6.3-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpq-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
COPY scripts/build-release scripts/build-release
RUN scripts/build-release --product daruma -Xlinker --strip-all && cp .build/release/daruma /usr/local/bin/daruma

FROM build AS build-lab
RUN scripts/build-release --product daruma-lab -Xlinker --strip-all && cp .build/release/daruma-lab /usr/local/bin/daruma-lab

# scripts/image-check and scripts/docker-check read these lines: the packages, the user and the environment are named
# here only. The packages have no versions: Debian keeps one of each in a release, replaces it for security, and drops
# the old one from its mirrors, so a version named here would soon fail the build or keep a hole open. Who needs the same
# image twice pins the base image's digest and builds against a snapshot of Debian.
FROM debian:bookworm-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libpq5 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS lab
COPY --from=build-lab /usr/local/bin/daruma-lab /usr/local/bin/daruma-lab
ENTRYPOINT ["/usr/local/bin/daruma-lab"]
CMD ["chaos", "--docker"]

FROM base
COPY --from=build /usr/local/bin/daruma /usr/local/bin/daruma
# HOME: libpq looks there for its own files; the user has no entry in /etc/passwd.
ENV PORT=8080 HOME=/
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# Each 200 ms until the first success. Engines before 25.0 do not know the start interval and wait for the first interval.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --start-interval=200ms --retries=3 CMD ["/usr/local/bin/daruma", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/daruma"]
CMD ["serve"]
