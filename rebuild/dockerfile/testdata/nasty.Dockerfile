# syntax=docker/dockerfile:1@sha256:9f2c41d87a100000000000000000000000000000000000000000000000000000
# escape=`

ARG VERSION=3.13
ARG VARIANT=slim
ARG TOOLS=ghcr.io/acme/tools:2@sha256:9f2c41d87a100000000000000000000000000000000000000000000000000000

FROM --platform=$BUILDPLATFORM `
  # not the end of it
  python:${VERSION}-${VARIANT} `
  AS Build
ARG VERSION=2.7
WORKDIR C:\
RUN <<EOF
FROM fake:heredoc
COPY --from=fake:heredoc /a /b
EOF
RUN --mount=type=cache,target=/root/.cache --mount=type=bind,from=ghcr.io/acme/uv:0.9,target=/uv `
    --mount=type=bind,from=build,target=/x `
    /uv/uv sync # FROM fake:comment
RUNX unknown instruction

FROM ${TOOLS} AS tools
# basewatch: ignore
FROM acme/pinned-by-vendor:1 AS vendor
FROM scratch AS empty
COPY --from=0 /a /a
COPY --from=BUILD --chown=1:1 /a /a
COPY --from=nginx:1.29-alpine /etc/nginx /etc/nginx
ONBUILD COPY --from=registry.example.com:5000/acme/certs /c /c
FROM build
CMD ["run"]