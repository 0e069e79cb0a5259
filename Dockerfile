# docker build -t usher --build-arg VERSION="$(git describe --tags --always)" .

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
# Pure Go: no C compiler now, no libraries later.
RUN CGO_ENABLED=0 go build -trimpath -tags goolm -ldflags "-s -w -X main.version=${VERSION}" -o /out/usher .
RUN mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/usher /usher
# A new volume gets its owner from here.
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 29339
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["/usher", "live", "-c", "/data/config.yaml"]
ENTRYPOINT ["/usher"]
# The first run writes what is missing in /data, says what to do with it, and ends.
CMD ["--first-run", "-c", "/data/config.yaml", "-r", "/data/registration.yaml"]
