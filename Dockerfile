# syntax=docker/dockerfile:1
# The image of basewatch: one static binary, no shell, no root.
#
#   docker build -t basewatch .
#   docker run -v basewatch:/var/lib/basewatch -v ./basewatch.toml:/etc/basewatch/basewatch.toml:ro basewatch
#
# The daemon listens on 127.0.0.1:8080 inside the container, where only its own
# health check reaches it. To publish the API and metrics, set a token
# and the address:
#
#   -e BASEWATCH_HTTP__LISTEN=:8080 -e BASEWATCH_HTTP__TOKEN=env:BW_TOKEN -e BW_TOKEN -p 8080:8080

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -buildid= -X main.version=${VERSION}" -o /out/basewatch ./cmd/basewatch \
 && mkdir -p /out/state

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/basewatch /basewatch
# A new volume takes the owner of the directory that it is mounted on.
COPY --from=build --chown=65532:65532 /out/state /var/lib/basewatch
USER 65532:65532
ENV STATE_DIRECTORY=/var/lib/basewatch
VOLUME /var/lib/basewatch
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/basewatch", "status", "--ready"]
ENTRYPOINT ["/basewatch"]
CMD ["run"]
