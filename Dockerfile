# The service alone: one static Swift binary on Debian slim with libpq. The lab, which can stop
# databases, is not built.
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

FROM debian:bookworm-slim
# scripts/image-check reads the next lines: the packages, the user and the environment are named here only.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libpq5 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/daruma /usr/local/bin/daruma
# HOME: libpq looks there for its own files; the user has no entry in /etc/passwd.
ENV PORT=8080 HOME=/
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/usr/local/bin/daruma", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/daruma"]
CMD ["serve"]
